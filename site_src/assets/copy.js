// Copy buttons: they copy the text before them, and appear only where the browser can copy.
for (const button of document.querySelectorAll("button.copy")) {
  if (!navigator.clipboard) continue;
  button.hidden = false;
  const label = button.innerHTML, text = button.previousElementSibling.textContent;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(text);
    button.textContent = "copied";
    setTimeout(() => { button.innerHTML = label; }, 1500);
  });
}

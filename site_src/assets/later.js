// The explorer of the front page. Its scripts are fetched when somebody asks for it, or when an address names a view.
for (const box of document.querySelectorAll("[data-later]")) {
  const button = box.querySelector("[data-load]");
  const open = () => {
    button.disabled = true;
    import("./compare.js");
  };
  for (let part = button; part !== box; part = part.parentElement) part.hidden = false;
  if (location.hash.includes("runs=")) open();
  else button.addEventListener("click", open, { once: true });
}

// Checks a published archive in the reader's own browser: fetch, size, SHA-256, score recomputed from its components.
for (const box of document.querySelectorAll("[data-verify]")) {
  const button = box.querySelector("button");
  const steps = box.querySelector(".verify-steps");
  if (!globalThis.crypto?.subtle) continue;
  button.hidden = false;

  const say = (text, good) => {
    const item = document.createElement("li");
    item.className = good ? "good" : "bad";
    item.textContent = text;
    steps.append(item);
  };

  button.addEventListener("click", async () => {
    steps.replaceChildren();
    button.disabled = true;
    try {
      const facts = box.dataset;
      const answer = await fetch(facts.archive);
      if (!answer.ok) throw new Error(`the archive did not load: ${answer.status}`);
      const bytes = await answer.arrayBuffer();
      const size = bytes.byteLength;
      say(`size: ${size.toLocaleString("en")} bytes, on record ${Number(facts.bytes).toLocaleString("en")}`, size === Number(facts.bytes));
      const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
      const hex = [...hash].map((byte) => byte.toString(16).padStart(2, "0")).join("");
      say(`SHA-256: ${hex}`, hex === facts.sha256);
      const [a, b, c] = facts.weights.split(" ").map(Number);
      const terms = [a * facts.segnet, Math.sqrt(b * facts.posenet), (c * size) / facts.sourceBytes];
      const total = terms[0] + terms[1] + terms[2];
      say(`score from components: ${terms.map((term) => term.toFixed(6)).join(" + ")} = ${total}`, Math.abs(total - facts.total) < 1e-9);
    } catch (error) {
      say(String(error.message), false);
    }
    button.disabled = false;
  });
}

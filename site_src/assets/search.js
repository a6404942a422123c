// Search over prose. The index is pagefind's; where a build has none, titles and descriptions of the list are searched.
const LIMIT = 20;

for (const box of document.querySelectorAll("[data-search]")) {
  const [field, status, list] = [box.querySelector("input"), box.querySelector("[role=status]"), box.querySelector("ol")];
  const pages = [...document.querySelectorAll("[data-pages] li")].map((item) => ({
    url: item.querySelector("a").href, title: item.querySelector("a").textContent, words: item.textContent.toLowerCase(),
    excerpt: item.querySelector("span").textContent,
  }));
  let engine = null;
  try {
    engine = await import(new URL(box.dataset.engine, location.href));
    await engine.init();
  } catch {
    engine = null;
  }

  const inList = (words) => pages.filter((page) => words.every((word) => page.words.includes(word)));
  const inIndex = async (query) => {
    const { results } = await engine.search(query);
    const found = await Promise.all(results.slice(0, LIMIT).map((result) => result.data()));
    return found.map((one) => ({ url: one.url, title: one.meta.title, excerpt: one.excerpt }));
  };
  const row = ({ url, title, excerpt }) => {
    const item = document.createElement("li");
    const text = document.createElement("span");
    // an excerpt marks the words found with <mark>; everything else of it is text
    for (const part of excerpt.split(/(<mark>.*?<\/mark>)/)) {
      const marked = part.match(/^<mark>(.*)<\/mark>$/);
      text.append(marked ? Object.assign(document.createElement("mark"), { textContent: plain(marked[1]) }) : plain(part));
    }
    item.append(Object.assign(document.createElement("a"), { href: url, textContent: title }), " ", text);
    return item;
  };
  const plain = (text) => text.replace(/&(lt|gt|amp|quot|#39);/g, (_, name) => ({ lt: "<", gt: ">", amp: "&", quot: '"', "#39": "'" })[name]);

  let latest = 0;
  const search = async () => {
    const mine = ++latest;
    const query = field.value.trim();
    const found = !query ? [] : engine ? await inIndex(query) : inList(query.toLowerCase().split(/\s+/));
    if (mine !== latest) return;
    list.replaceChildren(...found.map(row));
    status.textContent = query ? `${found.length === LIMIT ? "the first " : ""}${found.length} page${found.length === 1 ? "" : "s"}${engine ? "" : ", by title and description only"}` : "";
    history.replaceState(null, "", query ? `#q=${encodeURIComponent(query)}` : location.pathname);
  };
  field.addEventListener("input", search);
  box.hidden = false;
  field.value = new URLSearchParams(location.hash.slice(1)).get("q") ?? "";
  search();
}

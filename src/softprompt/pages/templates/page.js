"use strict";
const all = (what, where = document) => [...(where.matches?.(what) ? [where] : []), ...where.querySelectorAll(what)];
const made = (tag, words, act) => {
  const one = document.createElement(tag);
  one.textContent = words;
  if (tag === "button") { one.type = "button"; one.addEventListener("click", act); }
  return one;
};
const keyOf = cell => cell.dataset.value ?? cell.textContent.trim();
function sort(th) {
  const place = th.cellIndex, body = th.closest("table").tBodies[0];
  const down = th.getAttribute("aria-sort") !== "descending";
  for (const other of th.parentElement.cells) other.removeAttribute("aria-sort");
  th.setAttribute("aria-sort", down ? "descending" : "ascending");
  const number = text => Number(text.replace(/[,%]/g, ""));
  body.append(...[...body.rows].sort((a, b) => {
    const [x, y] = [keyOf(a.cells[place]), keyOf(b.cells[place])];
    if (x === "" || y === "") return (x === "") - (y === "");
    const by = Number.isNaN(number(x)) || Number.isNaN(number(y)) ? x.localeCompare(y) : number(x) - number(y);
    return down ? -by : by;
  }));
}
function sortable(th) {
  const words = th.textContent;
  th.textContent = "";
  th.append(made("button", words, () => sort(th)));
}
function searchable(table) {
  const field = made("input", ""), count = made("output", ""), label = made("label", "find ");
  field.type = "search";
  label.append(field);
  const rows = [...table.tBodies[0].rows], line = made("div", "");
  line.className = "find";
  line.append(label, count);
  table.closest(".wide").before(line);
  const show = () => {
    for (const row of rows) row.hidden = !row.textContent.toLowerCase().includes(field.value.toLowerCase());
    count.textContent = `${rows.filter(row => !row.hidden).length} of ${rows.length} rows`;
  };
  field.addEventListener("input", show);
  show();
}
function save(name, blob) {
  const link = made("a", "");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
const kept = ["fill", "stroke", "stroke-width", "stroke-dasharray", "opacity", "font-family", "font-size", "font-weight"];
function standing(svg) {
  const copy = svg.cloneNode(true), from = all("*", svg), to = all("*", copy);
  to.forEach((one, place) => {
    const style = getComputedStyle(from[place]);
    one.setAttribute("style", kept.map(name => `${name}:${style.getPropertyValue(name)}`).join(";"));
    one.removeAttribute("class");
  });
  const [, , wide, high] = svg.getAttribute("viewBox").split(" "), ground = document.createElementNS(svg.namespaceURI, "rect");
  ground.setAttribute("width", wide);
  ground.setAttribute("height", high);
  ground.setAttribute("fill", getComputedStyle(document.body).backgroundColor);
  copy.prepend(ground);
  copy.setAttribute("xmlns", svg.namespaceURI);
  copy.removeAttribute("class");
  return [new XMLSerializer().serializeToString(copy), Number(wide), Number(high)];
}
function asPng(svg, name) {
  const [text, wide, high] = standing(svg), image = new Image(), canvas = document.createElement("canvas");
  canvas.width = 2 * wide;
  canvas.height = 2 * high;
  image.onload = () => {
    canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
    canvas.toBlob(blob => save(`${name}.png`, blob));
  };
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(text)}`;
}
function asCsv(table) {
  const cell = one => `"${keyText(one).replace(/"/g, '""')}"`;
  return [...table.rows].map(row => [...row.cells].map(cell).join(",")).join("\r\n");
}
const keyText = one => one.textContent.trim();
function savable(figure) {
  const svg = figure.querySelector("svg"), table = figure.querySelector("table"), line = made("div", ""), name = figure.id;
  line.className = "tools";
  line.append(
    made("button", "SVG", () => save(`${name}.svg`, new Blob([standing(svg)[0]], { type: "image/svg+xml" }))),
    made("button", "PNG", () => asPng(svg, name)),
    made("button", "CSV", () => save(`${name}.csv`, new Blob([asCsv(table)], { type: "text/csv" }))),
  );
  for (const button of line.children) button.setAttribute("aria-label", `save ${figure.querySelector("h2, h3").textContent} as ${button.textContent}`);
  figure.querySelector("details").before(line);
}
function furnish(where) {
  all("table.sorted thead th", where).forEach(sortable);
  all("table.searched", where).forEach(searchable);
  all("figure[id]", where).forEach(savable);
}
furnish(document);

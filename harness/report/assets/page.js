// The rest of the page: copying commands, searching evidence, and the timelines' beginning.

function copyable(button) {
  const text = button.previousElementSibling.textContent;
  button.hidden = false;
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "copied";
    } catch {
      getSelection().selectAllChildren(button.previousElementSibling);
      button.textContent = "selected";
    }
  });
}

const MOST_HITS = 200;

function searchable(evidence) {
  const files = [...evidence.querySelectorAll("details.file")].map((box) => ({
    box, path: box.dataset.path, lines: box.querySelector("pre").textContent.split("\n"),
  }));
  const [field, output, hits] = [".search input", ".search output", ".hits"].map((what) => evidence.querySelector(what));
  const searched = evidence.querySelector(".searched");
  evidence.querySelector(".search").hidden = false;
  field.addEventListener("input", () => {
    const wanted = field.value.trim().toLowerCase();
    hits.replaceChildren();
    hits.hidden = !wanted;
    let [count, inFiles] = [0, 0];
    for (const file of files) {
      const before = count;
      file.lines.forEach((line, n) => {
        const at = wanted ? line.toLowerCase().indexOf(wanted) : -1;
        if (at < 0) return;
        count += 1;
        if (count <= MOST_HITS) hits.append(hit(file, line, n, at, wanted.length));
      });
      const found = count > before;
      inFiles += found ? 1 : 0;
      file.box.hidden = Boolean(wanted) && !found && !file.path.toLowerCase().includes(wanted);
    }
    const shown = count > MOST_HITS ? `, the first ${MOST_HITS} are shown` : "";
    const where = searched ? " of what this page holds" : "";
    output.textContent = wanted ? `${count} lines in ${inFiles} files${where}${shown}` : "";
    if (!searched) return;
    // What was not found may stand in what was not searched.
    searched.hidden = !wanted;
    searched.open = Boolean(wanted) && !count;
  });
}

function hit(file, line, n, at, length) {
  const from = Math.max(at - 80, 0);
  const mark = element("mark", {}, line.slice(at, at + length));
  const open = element("button", { type: "button", class: "path", onclick: () => reveal(file, n) }, file.path.split("/").slice(-1)[0] + ":" + (n + 1));
  return element("li", {}, open, element("code", {}, (from ? "…" : "") + line.slice(from, at), mark, line.slice(at + length, at + length + 200)));
}

// Opens the file at a line, with the line selected.
function reveal(file, n) {
  file.box.open = true;
  const text = file.box.querySelector("pre").firstChild;
  const start = file.lines.slice(0, n).reduce((sum, line) => sum + line.length + 1, 0);
  const range = document.createRange();
  range.setStart(text, start);
  range.setEnd(text, start + file.lines[n].length);
  getSelection().removeAllRanges();
  getSelection().addRange(range);
  const pre = file.box.querySelector("pre");
  pre.scrollTop += range.getBoundingClientRect().top - pre.getBoundingClientRect().top - pre.clientHeight / 2;
  file.box.scrollIntoView({ block: "start" });
}

document.querySelectorAll("button.copy").forEach(copyable);
document.querySelectorAll(".evidence").forEach(searchable);
const Gauntlet = {
  matrices: [...document.querySelectorAll(".reach")].map((host) => new ReachGrid(host)),
  timelines: [...document.querySelectorAll(".timeline")].map((host, n) => new Timeline(host, n)),
};
document.documentElement.dataset.ready = "yes";

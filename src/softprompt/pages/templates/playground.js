(() => {
  const form = document.getElementById("ask"), api = form.dataset.api, state = document.getElementById("state");
  const box = document.getElementById("models"), answers = document.getElementById("answers");
  const fields = document.getElementById("fields"), key = document.getElementById("token");
  const known = new Map();
  const headers = () => ({ "Content-Type": "application/json", ...(key?.value ? { Authorization: `Bearer ${key.value}` } : {}) });
  const named = (tag, name, words = "") => { const one = made(tag, words); one.className = name; return one; };
  async function call(path, body) {
    const answer = await fetch(api + path, { headers: headers(), ...(body && { method: "POST", body: JSON.stringify(body) }) });
    const said = await answer.json();
    if (!answer.ok) throw new Error(said.error?.message ?? `the server answered ${answer.status}`);
    return said;
  }
  const chosen = () => all("input:checked", box).map(one => one.value);
  function showFields() {
    const wanted = [...new Set(chosen().flatMap(name => known.get(name).fields.length ? known.get(name).fields : ["text"]))];
    const kept = new Map(all("textarea", fields).map(one => [one.name, one.value]));
    fields.replaceChildren(...(wanted.length ? wanted : ["text"]).map(name => {
      const line = made("p", ""), label = made("label", name === "text" ? "Text " : `${name} `), area = made("textarea", "");
      area.name = name;
      area.rows = 3;
      area.value = kept.get(name) ?? "";
      label.append(area);
      line.append(label);
      return line;
    }));
  }
  async function look() {
    try {
      const found = (await call("/v1/models")).data, before = new Set(chosen());
      known.clear();
      box.replaceChildren(made("legend", "Prompts"));
      for (const one of found) {
        known.set(one.id, one.softprompt);
        const label = made("label", ""), tick = made("input", ""), told = one.softprompt;
        tick.type = "checkbox";
        tick.value = one.id;
        tick.checked = before.size ? before.has(one.id) : box.children.length === 1;
        tick.addEventListener("change", showFields);
        label.append(tick, ` ${one.id} `, named("small", "about", [told.task, told.kind, told.method].filter(Boolean).join(", ")));
        box.append(label);
      }
      if (!found.length) box.append(made("p", "No prompt is served yet: put one into the folder."));
      state.textContent = "";
      showFields();
    } catch (error) { state.textContent = error.message; }
  }
  function bars(chances) {
    const list = named("dl", "bars");
    for (const [label, chance] of Object.entries(chances).sort((a, b) => b[1] - a[1]).slice(0, 12)) {
      const line = made("dd", ""), bar = named("span", "bar"), meter = made("meter", "");
      meter.value = chance;
      meter.setAttribute("aria-label", `probability of ${label}`);
      bar.append(meter, ` ${chance.toFixed(3)}`);
      line.append(bar);
      list.append(made("dt", label), line);
    }
    return list;
  }
  function card(name, words) {
    const one = named("section", "answer");
    one.append(made("h2", name), named("p", "said", words));
    answers.append(one);
    return one;
  }
  async function classified(names, input) {
    if (!names.length) return;
    for (const one of (await call("/v1/classify", { model: names, input })).data) {
      const sure = one.probability === null ? "" : ` (${one.probability.toFixed(3)})`;
      const own = card(one.model, one.word === one.label ? one.label + sure : `${one.label}: ${one.word}${sure}`);
      if (Object.keys(one.probabilities).length) own.append(bars(one.probabilities));
      for (const word of one.words ?? []) own.append(named("span", "tagged", `${word.word}/${word.tag} `));
    }
  }
  async function written(name, prompt) {
    const said = card(name, "").querySelector(".said"), body = { model: name, prompt, stream: true };
    const answer = await fetch(`${api}/v1/completions`, { method: "POST", headers: headers(), body: JSON.stringify(body) });
    if (!answer.ok) throw new Error((await answer.json()).error.message);
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let held = "", part = await reader.read(); !part.done; part = await reader.read()) {
      const lines = (held + part.value).split("\n\n");
      held = lines.pop();
      for (const line of lines.filter(one => one.startsWith("data: {"))) {
        const told = JSON.parse(line.slice(6));
        if (told.error) throw new Error(told.error.message);
        said.textContent += told.choices[0]?.text ?? "";
      }
    }
  }
  form.addEventListener("submit", async event => {
    event.preventDefault();
    answers.replaceChildren();
    const names = chosen(), given = Object.fromEntries(all("textarea", fields).map(one => [one.name, one.value]));
    state.textContent = names.length ? "Asking ..." : "Choose a prompt first.";
    try {
      const plain = Object.keys(given).length === 1 ? Object.values(given)[0] : given;
      const writers = names.filter(name => !known.get(name).served.includes("classify") && typeof plain === "string");
      await classified(names.filter(name => !writers.includes(name)), plain);
      await Promise.all(writers.map(name => written(name, plain)));
      if (names.length) state.textContent = "";
    } catch (error) { state.textContent = error.message; }
  });
  key?.addEventListener("change", look);
  look();
})();

"use strict";
(() => {
  const ROWS = 100; // that are added at once
  const STORE = "agentperf-lint.done";
  const SVG = "http://www.w3.org/2000/svg";
  const SEVERITIES = ["high", "medium", "low"];
  const STATUSES = ["confirmed", "observed", "suspected"];

  const byId = (id) => document.getElementById(id);

  // Text only ever reaches the page as text: nothing here parses markup.
  const built = (node, attributes, children) => {
    for (const [name, value] of Object.entries(attributes || {})) {
      if (value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : String(value));
    }
    node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== ""));
    return node;
  };
  const html = (name, attributes, ...children) => built(document.createElement(name), attributes, children);
  const svg = (name, attributes, ...children) => built(document.createElementNS(SVG, name), attributes, children);

  const whole = (number) => Math.round(number).toLocaleString("en");
  const percent = (share) => `${(share * 100).toFixed(1)}%`;
  const plural = (count, noun) => `${whole(count)} ${noun}${count === 1 ? "" : "s"}`;
  const place = (at) => (at.path ? `${at.path}:${at.line}` : "no line of the application");

  function duration(seconds) {
    if (seconds === 0) return "0";
    if (seconds < 0.001) return `${Number((seconds * 1e6).toPrecision(3))} \u00b5s`;
    if (seconds < 1) return `${Number((seconds * 1000).toPrecision(3))} ms`;
    return seconds < 100 ? `${seconds.toFixed(2)} s` : `${whole(seconds)} s`;
  }

  function bytes(count) {
    return count < 2 ** 30 ? `${(count / 2 ** 20).toFixed(1)} MB` : `${(count / 2 ** 30).toFixed(2)} GB`;
  }

  async function read() {
    const block = byId("data");
    if (!("packed" in block.dataset)) return JSON.parse(block.textContent);
    const packed = Uint8Array.from(atob(block.textContent), (character) => character.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
    return JSON.parse(await new Response(stream).text());
  }

  // What is ticked off. A browser may refuse to keep anything for a file; then it lasts as long as the page.

  const done = new Set();
  function recall() {
    try {
      JSON.parse(localStorage.getItem(STORE) || "[]").forEach((fingerprint) => done.add(fingerprint));
    } catch { /* refused, or not ours */ }
  }
  function remember(fingerprint, isDone) {
    try { // another page may have added some since
      JSON.parse(localStorage.getItem(STORE) || "[]").forEach((each) => done.add(each));
    } catch { /* as above */ }
    if (isDone) done.add(fingerprint); else done.delete(fingerprint);
    try {
      localStorage.setItem(STORE, JSON.stringify([...done]));
    } catch { /* as above */ }
  }

  // Summary and overview

  function showSummary(page) {
    const summary = page.summary;
    const kpis = summary.kpis;
    const cards = [
      ...(summary.processes ? [["Traced", duration(summary.wall_seconds)], ["Operations", whole(summary.operations)],
        ["Roots", whole(summary.roots)], ["Processes", whole(summary.processes)]] : []),
      ["Confirmed", whole(summary.confirmed), "confirmed"], ["Observed", whole(summary.observed)],
      ["Suspected", whole(summary.suspected)],
    ];
    if (kpis.count) {
      const noun = { request: "Response", root: "Root", operation: "Operation" }[kpis.of];
      cards.push([`${noun} time, median`, duration(kpis.response_p50_seconds)],
        [`${noun} time, 95%`, duration(kpis.response_p95_seconds)], ["Throughput", `${kpis.throughput.toFixed(1)}/s`],
        ["Concurrency", kpis.concurrency.toFixed(1) + (kpis.concurrency_most ? ` (most ${whole(kpis.concurrency_most)})` : "")]);
    }
    if (kpis.failed) cards.push(["Failed", whole(kpis.failed), "bad"]);
    if (kpis.input_tokens || kpis.output_tokens) {
      cards.push(["Tokens in, out", `${whole(kpis.input_tokens)}, ${whole(kpis.output_tokens)}`],
        [`Tokens for each ${kpis.of}`, whole(Math.round(kpis.tokens_each))]);
    }
    if (kpis.cpu_utilization) cards.push(["Processors in use", kpis.cpu_utilization.toFixed(2)]);
    if (kpis.peak_rss_bytes) cards.push(["Memory, most", bytes(kpis.peak_rss_bytes)]);
    if (kpis.read_bytes || kpis.written_bytes) {
      cards.push(["Storage read, written", `${bytes(kpis.read_bytes)}, ${bytes(kpis.written_bytes)}`]);
    }
    for (const profile of summary.profiles) cards.push([`Profiled by ${profile.profiler}`, duration(profile.seconds)]);
    for (const load of summary.loads) {
      cards.push([`Load on ${load.target}`, `${whole(load.requests)} requests, ${load.throughput.toFixed(1)}/s`],
        ["p95, p99", `${duration(load.p95_seconds)}, ${duration(load.p99_seconds)}`]);
      if (load.failed) cards.push(["Failed under load", whole(load.failed), "bad"]);
    }
    if (summary.dropped) cards.push(["Dropped operations", whole(summary.dropped), "bad"]);
    if (summary.errors) cards.push(["Tracer errors", whole(summary.errors), "bad"]);
    byId("summary").append(...cards.map(([name, value, kind]) =>
      html("div", { class: kind }, html("dt", {}, name), html("dd", {}, value))));
    byId("notes").append(...page.notes.map((note) => html("li", {}, note)));
    byId("notes").hidden = page.notes.length === 0;
    byId("tool").textContent = `agentperf-lint ${page.tool}`;
  }

  function showOverview(overview) {
    const charts = [
      curve("Event-loop lag", overview.lag, duration, "its longest step"),
      curve("Event loop busy", overview.busy, percent, "share of the time", 1),
      curve("Roots open at once", overview.open_roots, whole, "requests, tasks and the like"),
      curve("Resident memory", overview.memory, bytes, "all processes together"),
      costs(overview.costs),
    ].filter(Boolean);
    byId("charts").append(...charts);
    byId("overview").hidden = charts.length === 0;
  }

  function curve(title, series, format, meaning, ceiling) {
    const points = series.values.map((value, index) => ({ value, index })).filter((point) => point.value !== null);
    if (!points.length) return null;
    const peak = points.reduce((best, point) => (point.value > best.value ? point : best));
    const top = ceiling || peak.value || 1;
    const slices = series.values.length;
    const x = (index) => ((index / slices) * 1000).toFixed(1);
    const y = (value) => (100 - (value / top) * 96).toFixed(1);
    const path = points.map((point) => `${x(point.index)},${y(point.value)}H${x(point.index + 1)}`).join("L");
    const ends = [x(points[0].index), x(points[points.length - 1].index + 1)];
    const cursor = svg("line", { class: "cursor", y1: 0, y2: 100, visibility: "hidden" });
    const words = `peak ${format(peak.value)} at ${duration(peak.index * series.step)}; ${meaning}`;
    const caption = html("p", {}, words);
    const drawing = svg("svg", { class: "chart", viewBox: "0 0 1000 100", preserveAspectRatio: "none", "aria-hidden": "true" },
      svg("path", { class: "area", d: `M${ends[0]},100L${path}L${ends[1]},100Z` }),
      svg("path", { class: "curve", d: `M${path}` }), cursor);
    drawing.addEventListener("pointermove", (event) => {
      const box = drawing.getBoundingClientRect();
      const wanted = ((event.clientX - box.left) / box.width) * slices - 0.5;
      const near = points.reduce((best, point) =>
        (Math.abs(point.index - wanted) < Math.abs(best.index - wanted) ? point : best));
      built(cursor, { x1: x(near.index + 0.5), x2: x(near.index + 0.5), visibility: "visible" }, []);
      caption.textContent = `${format(near.value)} at ${duration(near.index * series.step)}`;
    });
    drawing.addEventListener("pointerleave", () => {
      cursor.setAttribute("visibility", "hidden");
      caption.textContent = words;
    });
    return html("figure", {}, html("figcaption", {}, html("h3", {}, title), caption), drawing,
      html("div", { class: "ends" }, html("span", {}, "0 s"), html("span", {}, duration(slices * series.step))));
  }

  function bar(share, kind) {
    const width = Math.max(0.5, Math.min(1, share) * 100);
    const drawing = svg("svg", { viewBox: "0 0 100 1", preserveAspectRatio: "none", class: kind, "aria-hidden": "true" },
      svg("rect", { width, height: 1 }));
    return drawing;
  }

  function costs(rows) {
    if (!rows.length) return null;
    const most = rows[0].seconds || 1;
    return html("figure", { class: "spread" },
      html("figcaption", {}, html("h3", {}, "Cost by root"), html("p", {}, "time of the operations, added up; sleeps left out")),
      html("table", {},
        html("thead", {}, html("tr", {}, html("th", { scope: "col" }, "Root"), html("th", { scope: "col", class: "number" }, "Time"),
          html("th", { scope: "col", class: "bar" }, "Relative"), html("th", { scope: "col", class: "number" }, "Roots"),
          html("th", { scope: "col", class: "number" }, "Operations"))),
        html("tbody", {}, rows.map((row) => html("tr", {}, html("td", { class: "name" }, row.name),
          html("td", { class: "number" }, duration(row.seconds)), html("td", { class: "bar" }, bar(row.seconds / most)),
          html("td", { class: "number" }, whole(row.roots)), html("td", { class: "number" }, whole(row.operations)))))));
  }

  // One item

  const NO_SECONDS = { budget: "over its budget", memory: "memory" };

  function row(entry) {
    const item = entry.item;
    const box = html("input", { type: "checkbox", "aria-label": `Done: ${item.code} at ${place(item)}` });
    box.checked = done.has(entry.fingerprint);
    const cost = item.total_seconds
      ? html("div", { class: "cost" }, `${duration(item.total_seconds)} `,
        html("span", { class: "quiet" }, percent(item.share)), bar(item.total_seconds / entry.most))
      : html("div", { class: "cost quiet" }, item.refuted ? "refuted by the trace" : NO_SECONDS[item.kind] || "not measured");
    const details = html("details", {}, html("summary", {},
      html("div", {},
        html("h3", {}, html("b", { class: item.severity }, item.code), `${item.name} `,
          html("span", { class: "place" }, `${place(item)} ${item.function}`)),
        html("p", { class: "message" }, html("span", { class: `badge ${item.status}` }, item.status),
          html("span", { class: `badge ${item.severity}` }, item.severity), item.message)),
      cost));
    details.addEventListener("toggle", () => {
      if (details.open && details.childElementCount === 1) details.append(body(entry));
    });
    const node = html("li", { class: box.checked ? "done" : undefined },
      html("label", { class: "tick" }, box), details);
    box.addEventListener("change", () => {
      remember(entry.fingerprint, box.checked);
      node.classList.toggle("done", box.checked);
      tell();
    });
    return node;
  }

  function body(entry) {
    const item = entry.item;
    const parts = [html("p", { class: "remedy" }, html("b", {}, "Remedy: "), item.remedy)];
    if (item.fix !== "none") {
      const options = item.fix === "unsafe" ? "--fix --unsafe-fixes" : "--fix";
      parts.push(html("p", {}, html("b", {}, "Fix: "), html("code", {}, `agentperf-lint check ${options} ${item.path}`)));
    }
    if (item.refuted) parts.push(html("p", {}, html("b", {}, "Refuted: "), item.reason));
    parts.push(...measured(item), ...source(entry));
    for (const evidence of item.evidence) parts.push(...(EVIDENCE[evidence.type] || (() => []))(evidence, item));
    if (entry.timeline) parts.push(...timeline(entry.timeline), ...histogram(entry.timeline.durations));
    return html("div", { class: "body" }, parts);
  }

  function facts(pairs) {
    return html("dl", { class: "facts" }, pairs.map(([name, value]) =>
      html("div", {}, html("dt", {}, name), html("dd", {}, value))));
  }

  function measured(item) {
    if (!item.total_seconds) return [];
    const noun = { stall: "Stalls", cold_import: "Stalls", bottleneck: "Slow operations" }[item.kind] || "Operations";
    return [html("h4", {}, "Measured"), facts([
      ["Total", duration(item.total_seconds)],
      ...(item.worst_seconds ? [["Worst", duration(item.worst_seconds)]] : []),
      ...(item.operations ? [[noun, whole(item.operations)]] : []), ...(item.roots ? [["Roots", whole(item.roots)]] : []),
      ...(item.share ? [["Share of the time", percent(item.share)]] : []),
      ...(item.of_roots > 1 ? [["For each root of these names", duration(item.total_seconds / item.of_roots)]] : []),
    ])];
  }

  function source(entry) {
    const parts = entry.excerpts.flatMap((excerpt) => [
      html("h4", {}, `${excerpt.title} `, html("span", { class: "place" }, excerpt.path)),
      html("pre", { class: "excerpt", tabindex: 0, role: "group", "aria-label": `${excerpt.title} in ${excerpt.path}` },
        excerpt.lines.map((text, index) => {
          const number = excerpt.first + index;
          const marked = excerpt.marked.includes(number);
          return html("span", { class: "line", "data-number": number }, marked ? html("mark", {}, text) : text, "\n");
        })),
    ]);
    if (!parts.length && entry.item.path) parts.push(html("p", { class: "quiet" }, "The source was not found."));
    const loop = entry.item.loop;
    if (loop) parts.push(html("p", {}, html("b", {}, "Loop: "), `${loop.kind} at ${place(loop)} in ${loop.function}`));
    return parts;
  }

  function calls(title, steps) {
    if (!steps.length) return [];
    return [html("h4", {}, title), html("ol", { class: "calls" }, steps.map((step) =>
      html("li", {}, html("code", {}, step.function), " at ", html("span", { class: "place" }, place(step)),
        step.call ? [" runs ", html("code", {}, step.call)] : null)))];
  }

  function statement(evidence) {
    return [html("h4", {}, "Statement"), html("pre", { class: "wrapped" }, evidence.statement)];
  }

  function measurement(value, unit) {
    if (unit === "seconds") return duration(value);
    if (unit === "share") return percent(value);
    if (unit === "bytes") return bytes(value);
    return unit === "per second" ? `${value.toFixed(1)}/s` : String(Number(value.toPrecision(6)));
  }

  const EVIDENCE = {
    cluster(evidence) {
      const known = [["Most in one root", whole(evidence.most)], ["Different parameters there", whole(evidence.distinct)]];
      if (evidence.root_names.length) known.push(["In", evidence.root_names.join(", ")]);
      if (evidence.relation) known.push(["Relation", evidence.relation]);
      if (evidence.started_together) known.push(["Started", "together"]);
      if (evidence.input_tokens || evidence.output_tokens) {
        known.push(["Tokens", `${whole(evidence.input_tokens)} in, ${whole(evidence.output_tokens)} out`]);
      }
      return [...statement(evidence), facts(known), ...calls("Also at", evidence.other_places)];
    },
    bottleneck(evidence) {
      return [...statement(evidence), facts([
        ["Slow", `${whole(evidence.slow)} of ${plural(evidence.operations, "operation")}`],
        ["Share of its root", percent(evidence.root_share)], ...(evidence.root_name ? [["In", evidence.root_name]] : []),
      ])];
    },
    stall(evidence) {
      const known = [["Seen while they lasted", `${whole(evidence.sampled)} of ${whole(evidence.stalls)}`]];
      if (evidence.ongoing) known.push(["Not over when the trace ended", whole(evidence.ongoing)]);
      return [...calls("Stack of the worst, innermost first", evidence.stack), facts(known)];
    },
    gap(evidence) {
      return [html("p", {}, `${plural(evidence.clusters, "cluster")} of ${evidence.mean_size.toFixed(1)} `
        + `${evidence.operation} operations, by timestamps alone`)];
    },
    profile(evidence) {
      const known = [["Profiler", evidence.profiler], ["Time", duration(evidence.seconds)]];
      if (evidence.operation) {
        known.push(["Operation", evidence.operation], ["Executions", whole(evidence.executions)],
          ["Mean", duration(evidence.mean_seconds)], ["95 of 100 within", duration(evidence.p95_seconds)],
          ["Longest", duration(evidence.worst_seconds)], ["Running", duration(evidence.running_seconds)],
          ["Waiting", duration(evidence.waiting_seconds)]);
      }
      if (evidence.failed) known.push(["Failed", whole(evidence.failed)]);
      if (evidence.tokens) known.push(["Tokens", whole(evidence.tokens)]);
      const places = evidence.places.map((each) => html("li", {}, `${percent(each.share)} ${each.waiting ? "waiting" : "running"} in `,
        html("code", {}, each.function), " at ", html("span", { class: "place" }, place(each))));
      return [html("h4", {}, "Profile"), facts(known), ...(places.length ? [html("ol", { class: "calls" }, places)] : [])];
    },
    budget(evidence) {
      return [html("h4", {}, "Budget"), facts([["Budget", evidence.budget],
        ...(evidence.scope ? [["Of", evidence.scope]] : []), ["Measured", measurement(evidence.measured, evidence.unit)],
        ["Source", evidence.source]])];
    },
    memory(evidence) {
      return [html("h4", {}, "Memory"), facts([["Before", bytes(evidence.before_bytes)], ["After", bytes(evidence.after_bytes)],
        ["Within", duration(evidence.seconds)], ...(evidence.objects ? [["Objects", whole(evidence.objects)]] : [])])];
    },
    static(evidence, item) {
      const told = item.status === "suspected" ? [] : [html("h4", {}, `Check ${evidence.code} ${evidence.name}`),
        html("p", {}, evidence.message)];
      return [...told, ...calls(`Chain to ${evidence.sink}`, evidence.chain), facts([["Confidence", evidence.confidence]])];
    },
  };

  function timeline(found) {
    if (!found.lanes.length) {
      return [html("h4", {}, "Timeline"), html("p", { class: "quiet" }, "Kept for the items that cost most only.")];
    }
    const begins = found.lanes.map((lane) => lane.starts[0]);
    const ends = found.lanes.flatMap((lane) => lane.starts.map((start, index) => start + lane.durations[index]));
    const first = Math.min(...begins);
    const extent = Math.max(1, ends.reduce((most, end) => Math.max(most, end), first) - first);
    const x = (time) => ((time - first) / extent) * 1000;
    const lanes = found.lanes.flatMap((lane) => {
      const shown = lane.starts.length < lane.operations ? `, ${whole(lane.starts.length)} shown` : "";
      const words = `${lane.name}: ${whole(lane.operations)} in ${duration(lane.seconds)}${shown}`;
      const drawing = svg("svg", { viewBox: "0 0 1000 10", preserveAspectRatio: "none", "aria-hidden": "true" }, lane.starts.map((start, index) =>
        svg("rect", { x: Math.min(998, x(start)).toFixed(1), y: 1, height: 8,
          width: Math.max(1.5, (lane.durations[index] / extent) * 1000 - 0.7).toFixed(1) },
          svg("title", {}, `${duration(lane.durations[index] / 1e6)} after ${duration(start / 1e6)}`))));
      return [html("span", { title: words }, words), drawing];
    });
    return [html("h4", {}, "Timeline"),
      html("p", { class: "quiet" }, "A lane is a root, the worst first; time counts from when each began."),
      html("div", { class: "lanes" }, lanes, html("div", { class: "ends" },
        html("span", {}, duration(first / 1e6)), html("span", {}, duration((first + extent) / 1e6))))];
  }

  function histogram(found) {
    const most = Math.max(...found.counts);
    const columns = found.counts.map((count, index) => {
      const column = html("i");
      column.style.height = `${count ? Math.max(1, (count / most) * 80) : 0}px`;
      return html("span", {}, html("b", {}, count ? whole(count) : ""), column, html("em", {}, duration(found.edges[index])));
    });
    const peak = found.edges[found.counts.indexOf(most)];
    return [html("h4", {}, "Durations"), facts([
      ["Of", whole(found.operations)], ["Median", duration(found.median)], ["95 of 100 within", duration(found.most)],
      ["Longest", duration(found.longest)],
    ]), html("div", { class: "histogram", role: "img",
      "aria-label": `Histogram of durations, most of them from ${duration(peak)} on` }, columns)];
  }

  // The list

  let entries = [];
  let shown = [];
  let drawn = 0;

  function prepare(page) {
    const most = page.items.reduce((largest, entry) => Math.max(largest, entry.item.total_seconds), 0) || 1;
    entries = page.items;
    entries.forEach((entry, rank) => {
      const item = entry.item;
      const statements = item.evidence.map((each) => each.statement || each.sink || each.operation || each.budget || "");
      entry.rank = rank;
      entry.most = most;
      entry.text = [item.code, item.name, place(item), item.function, item.message, ...statements].join("\n").toLowerCase();
    });
  }

  function counted(values) {
    const counts = new Map();
    for (const value of values) counts.set(value, (counts.get(value) || 0) + 1);
    return [...counts].sort(([one], [other]) => (one < other ? -1 : 1));
  }

  function offer() {
    const items = entries.map((entry) => entry.item);
    const boxes = (id, names, field) => {
      const counts = new Map(counted(items.map((item) => item[field])));
      byId(id).append(...names.map((name) => html("label", {},
        html("input", { type: "checkbox", name: field, value: name, checked: true }), `${name} ${whole(counts.get(name) || 0)}`)));
    };
    boxes("statuses", STATUSES, "status");
    boxes("severities", SEVERITIES, "severity");
    const choices = (id, values) => byId(id).append(...counted(values).map(([value, count]) =>
      html("option", { value }, `${value} (${whole(count)})`)));
    choices("rule", items.map((item) => `${item.code} ${item.name}`));
    choices("file", items.map((item) => item.path));
  }

  function choose() {
    const ticked = (name) => new Set([...document.querySelectorAll(`#filters input[name=${name}]:checked`)].map((box) => box.value));
    const words = byId("search").value.toLowerCase().split(/\s+/).filter(Boolean);
    const statuses = ticked("status");
    const severities = ticked("severity");
    const rule = byId("rule").value;
    const file = byId("file").value;
    const hideDone = byId("hide-done").checked;
    shown = entries.filter((entry) => {
      const item = entry.item;
      return statuses.has(item.status) && severities.has(item.severity)
        && (!rule || `${item.code} ${item.name}` === rule) && (!file || item.path === file)
        && !(hideDone && done.has(entry.fingerprint)) && words.every((word) => entry.text.includes(word));
    });
    const order = ORDERS[byId("order").value];
    if (order) shown.sort((one, other) => order(one.item, other.item) || one.rank - other.rank);
    drawn = 0;
    byId("items").replaceChildren();
    draw();
    tell();
  }

  const ORDERS = {
    severity: (one, other) => SEVERITIES.indexOf(one.severity) - SEVERITIES.indexOf(other.severity),
    file: (one, other) => (one.path === other.path ? one.line - other.line : one.path < other.path ? -1 : 1),
  };

  function draw() {
    const next = shown.slice(drawn, drawn + ROWS);
    drawn += next.length;
    byId("items").append(...next.map((entry) => (entry.node = entry.node || row(entry))));
    const left = shown.length - drawn;
    byId("more").hidden = left === 0;
    byId("more").textContent = `Show ${whole(Math.min(ROWS, left))} more of ${whole(left)}`;
  }

  function tell() {
    const ticked = entries.reduce((count, entry) => count + done.has(entry.fingerprint), 0);
    byId("count").textContent = entries.length
      ? `${whole(shown.length)} of ${plural(entries.length, "item")}, ${whole(ticked)} done`
      : "Nothing found.";
  }

  function listen() {
    const form = byId("filters");
    byId("search").addEventListener("input", choose);
    form.addEventListener("change", (event) => { // of the search, this is when it is left: an item is being clicked
      if (event.target !== byId("search")) choose();
    });
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("reset", () => setTimeout(choose)); // the fields change after the event
    byId("more").addEventListener("click", () => {
      const first = drawn;
      draw();
      shown[first].node.querySelector("summary").focus();
    });
    const observer = new IntersectionObserver((seen) => {
      if (!seen[seen.length - 1].isIntersecting || drawn === shown.length) return;
      draw();
      observer.unobserve(byId("more")); // it is told again when the button is still in sight
      observer.observe(byId("more"));
    }, { rootMargin: "600px" });
    observer.observe(byId("more"));
  }

  async function start() {
    const page = await read();
    recall();
    showSummary(page);
    showOverview(page.overview);
    prepare(page);
    offer();
    choose();
    listen();
    document.documentElement.dataset.ready = "true";
  }

  start().catch((error) => {
    byId("problem").textContent = `The report cannot be shown here: ${error.message}`;
    byId("problem").hidden = false;
    throw error;
  });
})();

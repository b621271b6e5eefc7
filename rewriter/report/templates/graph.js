"use strict";
// The whole graph of a model: pan, zoom, nested models that open and close, search, and each node's inputs and outputs.
// The layout was computed when the page was made. Here an open nested model only pushes apart the nodes around it.
(function () {
  const SVG = "http://www.w3.org/2000/svg";
  const WIDTH = 204, HEIGHT = 44, PAD = 18, HEAD = 30;
  const DOWN = 26; // how far a line runs straight down before it bends: past the shape
  const COLUMN = 7.2;
  const FAR = 0.34; // below this zoom, boxes have no text
  const MOST = 50;

  function element(name, attributes, parent) {
    const made = document.createElementNS(SVG, name);
    for (const key in attributes) made.setAttribute(key, attributes[key]);
    if (parent) parent.appendChild(made);
    return made;
  }

  function html(name, className, text, parent) {
    const made = document.createElement(name);
    if (className) made.className = className;
    if (text) made.textContent = text;
    if (parent) parent.appendChild(made);
    return made;
  }

  function cut(text, room) {
    const letters = Array.from(text);
    const wide = letters.filter((c) => c.codePointAt(0) > 0x1100).length;
    const most = Math.max(4, Math.floor(room * letters.length / (letters.length + wide || 1)));
    if (letters.length <= most) return text;
    const half = (most - 1) >> 1;
    return letters.slice(0, most - 1 - half).join("") + "\u2026" + letters.slice(letters.length - half).join("");
  }

  // A line that stretches where a box grew: old positions in, new positions out.
  function stretched(spans) {
    const ends = Array.from(new Set(spans.flatMap((s) => [s.from, s.to]))).sort((a, b) => a - b);
    const places = [];
    let shift = 0;
    for (let i = 0; i < ends.length; i++) {
      places.push([ends[i], ends[i] + shift]);
      if (i + 1 === ends.length) break;
      let most = 1;
      for (const s of spans) {
        if (s.from <= ends[i] && s.to >= ends[i + 1]) most = Math.max(most, s.size / (s.to - s.from));
      }
      shift += (most - 1) * (ends[i + 1] - ends[i]);
    }
    return function (at) {
      if (!places.length || at <= places[0][0]) return at;
      let low = 0, high = places.length - 1;
      if (at >= places[high][0]) return at - places[high][0] + places[high][1];
      while (high - low > 1) {
        const middle = (low + high) >> 1;
        if (places[middle][0] <= at) low = middle; else high = middle;
      }
      const [a, x] = places[low], [b, y] = places[high];
      return x + (at - a) * (y - x) / (b - a);
    };
  }

  function Graph(section) {
    const data = JSON.parse(section.querySelector(".rw-data").textContent);
    const canvas = section.querySelector(".rw-canvas");
    const detail = section.querySelector(".rw-detail");
    const search = section.querySelector("input");
    const hits = section.querySelector(".rw-hits");
    const marks = data.marks;
    const findings = new Map(data.findings.map((f) => [f[0] + ":" + f[1], f[2]]));
    const open = new Set(); // the keys of the nested models that are open
    let scene, items = [], lines = [], groups = [], byKey = new Map();
    let view = { x: 0, y: 0, k: 1 };
    let selected = null, drawn = null, waiting = false;

    const svg = element("svg", { class: "rw-picture", "aria-hidden": "true" }, canvas);
    const world = element("g", {}, svg);
    const layers = ["groups", "edges", "nodes"].map((name) => element("g", { class: "rw-layer-" + name }, world));

    // -- places --------------------------------------------------
    // A graph with the nested models that are open in it, its upper left corner at 0, 0. A key is a path of numbers.
    function measure(number, key) {
      const graph = data.graphs[number];
      const inner = new Map();
      const across = [], down = [];
      graph.nodes.forEach((node, i) => {
        const own = key + i;
        if (node[6] < 0 || !open.has(own)) return;
        const child = measure(node[6], own + "/");
        child.w = child.width + 2 * PAD;
        child.h = child.height + PAD + HEAD;
        inner.set(i, child);
        across.push({ from: node[3] - WIDTH / 2, to: node[3] + WIDTH / 2, size: child.w });
        down.push({ from: node[4] - HEIGHT / 2, to: node[4] + HEIGHT / 2, size: child.h });
      });
      const x = stretched(across), y = stretched(down);
      return {
        number, key, inner, x, y,
        width: Math.max(x(graph.size[0]), WIDTH),
        height: Math.max(y(graph.size[1]), HEIGHT),
      };
    }

    function spread(at, left, top, parent) {
      const graph = data.graphs[at.number];
      const own = [];
      graph.nodes.forEach((node, i) => {
        const x = left + at.x(node[3]), y = top + at.y(node[4]);
        const child = at.inner.get(i);
        const w = child ? child.w : WIDTH, h = child ? child.h : HEIGHT;
        const item = { key: at.key + i, graph: at.number, index: i, node, x: x - w / 2, y: y - h / 2, w, h, child, parent };
        own.push(item);
        byKey.set(item.key, item);
        (child ? groups : items).push(item);
      });
      graph.edges.forEach((edge) => {
        const a = own[edge[0]], b = own[edge[1]];
        const bends = [];
        for (let i = 0; i < edge[2].length; i += 2) {
          bends.push([left + at.x(edge[2][i]), top + at.y(edge[2][i + 1] - HEIGHT / 2), top + at.y(edge[2][i + 1] + HEIGHT / 2)]);
        }
        const xs = [a.x + a.w / 2, b.x + b.w / 2].concat(bends.map((p) => p[0]));
        lines.push({
          a, b, bends, left: Math.min(...xs), right: Math.max(...xs),
          top: Math.min(a.y + a.h, b.y), bottom: Math.max(a.y + a.h, b.y), d: null,
        });
      });
      at.inner.forEach((child, i) => spread(child, own[i].x + PAD, own[i].y + HEAD, own[i]));
    }

    function arrange() {
      items = []; lines = []; groups = []; byKey = new Map();
      scene = measure(0, "");
      spread(scene, 0, 0, null);
      drawn = null;
      draw();
    }

    function path(line) {
      if (line.d) return line.d;
      let x = line.a.x + line.a.w / 2, y = line.a.y + line.a.h;
      let d = "M" + x.toFixed(1) + " " + y.toFixed(1) + "v" + DOWN;
      y += DOWN;
      const curve = (u, v) => {
        if (Math.abs(u - x) < 0.5) { d += "V" + v.toFixed(1); return; }
        const m = ((y + v) / 2).toFixed(1);
        d += "C" + x.toFixed(1) + " " + m + " " + u.toFixed(1) + " " + m + " " + u.toFixed(1) + " " + v.toFixed(1);
      };
      for (const [u, v, w] of line.bends) {
        curve(u, v);
        d += "V" + w.toFixed(1);
        x = u; y = w;
      }
      curve(line.b.x + line.b.w / 2, line.b.y);
      return (line.d = d);
    }

    // -- drawing --------------------------------------------------
    function draw() {
      if (waiting) return;
      waiting = true;
      requestAnimationFrame(paint);
    }

    function paint() {
      waiting = false;
      const wide = canvas.clientWidth, high = canvas.clientHeight;
      world.setAttribute("transform", "translate(" + view.x + " " + view.y + ") scale(" + view.k + ")");
      const far = view.k < FAR;
      const see = { left: -view.x / view.k, top: -view.y / view.k };
      see.right = see.left + wide / view.k;
      see.bottom = see.top + high / view.k;
      if (drawn && drawn.far === far && drawn.left <= see.left && drawn.top <= see.top &&
          drawn.right >= see.right && drawn.bottom >= see.bottom && drawn.size > 0.2 * (see.right - see.left) / (drawn.right - drawn.left)) return;
      const more = far ? 1 : 0.6;
      const dx = (see.right - see.left) * more, dy = (see.bottom - see.top) * more;
      drawn = { far, left: see.left - dx, right: see.right + dx, top: see.top - dy, bottom: see.bottom + dy, size: 1 };
      const inside = (item) => item.x < drawn.right && item.x + item.w > drawn.left && item.y < drawn.bottom && item.y + item.h + 24 > drawn.top;
      const near = lines.filter((l) => l.left < drawn.right && l.right > drawn.left && l.top < drawn.bottom && l.bottom > drawn.top);
      layers.forEach((layer) => layer.replaceChildren());
      groups.filter(inside).forEach(group);
      if (far) distant(items.filter(inside), near); else {
        element("path", { class: "rw-edge", d: near.map(path).join("") }, layers[1]);
        element("path", { class: "rw-head", d: near.map((l) => "M" + (l.b.x + l.b.w / 2 - 4) + " " + (l.b.y - 7) + "h8l-4 7z").join("") }, layers[1]);
        items.filter(inside).forEach(node);
      }
    }

    function distant(seen, near) {
      element("path", { class: "rw-far-edges", d: near.map(path).join("") }, layers[1]);
      marks.forEach((mark, number) => {
        const d = seen.filter((item) => item.node[5] === number)
          .map((item) => "M" + item.x + " " + item.y + "h" + item.w + "v" + item.h + "h-" + item.w + "z").join("");
        if (d) element("path", { class: "rw-far rw-" + mark, d }, layers[2]);
      });
      if (selected && !selected.child) {
        const g = element("g", { class: "rw-selected" }, layers[2]);
        element("rect", { x: selected.x, y: selected.y, width: selected.w, height: selected.h, rx: 6 }, g);
      }
    }

    function group(item) {
      const g = element("g", { class: "rw-group" + (item === selected ? " rw-selected" : ""), "data-key": item.key }, layers[0]);
      element("rect", { x: item.x, y: item.y, width: item.w, height: item.h, rx: 10 }, g);
      const room = Math.floor(item.w / 8);
      element("text", { x: item.x + 12, y: item.y + 20 }, g).textContent = cut("\u2212 " + item.node[0], room);
      label(item, item.node[2]);
    }

    function node(item) {
      const [name, kind, shape, , , mark, nested] = item.node;
      const names = "rw-node rw-" + marks[mark] + (nested >= 0 ? " rw-nested" : "") + (item === selected ? " rw-selected" : "");
      const g = element("g", { class: names, "data-key": item.key }, layers[2]);
      element("rect", { x: item.x, y: item.y, width: item.w, height: item.h, rx: 6 }, g);
      const middle = item.x + item.w / 2;
      element("text", { class: "rw-class", x: middle, y: item.y + 18 }, g).textContent = (nested >= 0 ? "+ " : "") + cut(data.classes[kind], nested >= 0 ? 21 : 23);
      element("text", { class: "rw-nodename", x: middle, y: item.y + 34 }, g).textContent = cut(name, 27);
      label(item, shape);
    }

    // The shape of a node's first result, below it.
    function label(item, shape) {
      if (shape < 0) return;
      const middle = item.x + item.w / 2;
      let parts = data.shapes[shape].map(([size, role]) => [cut(size, 12), role]);
      if (parts.length > 6) parts = parts.slice(0, 3).concat([["\u2026", "unknown"]], parts.slice(-2));
      if (!parts.length) parts = [["scalar", "unknown"]];
      const room = COLUMN * (parts.reduce((sum, part) => sum + part[0].length + 1, 0) - 1) + 8;
      element("rect", { class: "rw-behind", x: middle - room / 2, y: item.y + item.h + 5, width: room, height: 16 }, layers[2]);
      const text = element("text", { class: "rw-shape", x: middle, y: item.y + item.h + 17 }, layers[2]);
      parts.forEach(([size, role], i) => {
        if (i) element("tspan", { class: "rw-times" }, text).textContent = "\u00d7";
        element("tspan", { class: "rw-fill-" + role }, text).textContent = size;
      });
    }

    // -- moving --------------------------------------------------
    function move(dx, dy) { view.x += dx; view.y += dy; draw(); }

    function zoom(factor, px, py) {
      const k = Math.min(2.5, Math.max(lowest(), view.k * factor));
      const x = px === undefined ? canvas.clientWidth / 2 : px, y = py === undefined ? canvas.clientHeight / 2 : py;
      view.x = x - (x - view.x) * k / view.k;
      view.y = y - (y - view.y) * k / view.k;
      if (k < view.k && drawn) drawn.size = 0;
      view.k = k;
      draw();
    }

    function lowest() {
      return 0.8 * Math.min(1, canvas.clientWidth / (scene.width + 80), canvas.clientHeight / (scene.height + 80));
    }

    function fit() {
      const k = Math.min(1, canvas.clientWidth / (scene.width + 60), canvas.clientHeight / (scene.height + 80));
      view = { k, x: (canvas.clientWidth - scene.width * k) / 2, y: Math.max(20, (canvas.clientHeight - scene.height * k) / 2) };
      drawn = null;
      draw();
    }

    // Show the whole graph if it stays readable, else its beginning.
    function begin() {
      fit();
      if (view.k >= 0.75) return;
      const first = items[0] || groups[0];
      view = { k: 0.9, x: canvas.clientWidth / 2 - (first.x + first.w / 2) * 0.9, y: 30 - first.y * 0.9 };
      drawn = null;
      draw();
    }

    function center(item) {
      if (view.k < 0.7) view.k = 0.9;
      view.x = canvas.clientWidth / 2 - (item.x + item.w / 2) * view.k;
      view.y = canvas.clientHeight / 2 - (item.y + Math.min(item.h, 200) / 2) * view.k;
      drawn = null;
      draw();
    }

    // -- selection --------------------------------------------------
    function select(item, show) {
      selected = item;
      describe(item);
      if (show) center(item);
      drawn = null;
      draw();
    }

    function toggle(item, focus) {
      if (item.node[6] < 0) return;
      const before = [item.x + item.w / 2, item.y];
      if (open.has(item.key)) {
        for (const key of Array.from(open)) if (key === item.key || key.startsWith(item.key + "/")) open.delete(key);
      } else open.add(item.key);
      arrange();
      const now = byKey.get(item.key);
      view.x += (before[0] - now.x - now.w / 2) * view.k;
      view.y += (before[1] - now.y) * view.k;
      select(now, false);
      if (focus) canvas.focus();
    }

    function unfold(number, key, room) {
      data.graphs[number].nodes.forEach((node, i) => {
        if (node[6] < 0 || room.left < 0) return;
        room.left -= data.graphs[node[6]].nodes.length;
        open.add(key + i);
        unfold(node[6], key + i + "/", room);
      });
    }

    // The key of a node of a graph, at the first place where the graph is called.
    function keyOf(number, index) {
      if (number === 0) return String(index);
      for (let g = 0; g < data.graphs.length; g++) {
        const i = g === number ? -1 : data.graphs[g].nodes.findIndex((n) => n[6] === number);
        if (i >= 0) {
          const above = keyOf(g, i);
          if (above !== null) return above + "/" + index;
        }
      }
      return null;
    }

    function reveal(number, index) {
      const key = keyOf(number, index);
      if (key === null) return;
      const names = key.split("/");
      for (let i = 1; i < names.length; i++) open.add(names.slice(0, i).join("/"));
      arrange();
      select(byKey.get(key), true);
    }

    function shapeText(number) {
      if (number < 0) return "shape not known";
      return "(" + data.shapes[number].map(([size, role]) => (role === "unknown" ? size : role + "=" + size)).join(", ") + ")";
    }

    function describe(item) {
      detail.replaceChildren();
      if (!item) { html("p", "rw-quiet", "Select a node.", detail); return; }
      const [name, kind, shape, , , mark, nested] = item.node;
      html("h3", "", data.classes[kind], detail);
      const place = data.graphs[item.graph].name;
      html("bdi", "", (place ? place + "/" : "") + name, html("p", "", "", detail));
      html("p", "rw-sizes", shape < 0 && marks[mark] === "error" ? "no result: it cannot run" : shapeText(shape), detail);
      const finding = findings.get(item.graph + ":" + item.index);
      if (finding) {
        const link = html("a", "", "Go to the finding", html("p", "", "", detail));
        link.href = "#" + finding;
      } else if (marks[mark] === "inserted") html("p", "rw-state rw-inserted", "inserted", detail);
      if (nested >= 0) {
        const word = open.has(item.key) ? "Close the model" : "Open the model (" + data.graphs[nested].nodes.length + " nodes)";
        html("button", "", word, detail).addEventListener("click", () => toggle(item, true));
      }
      const prefix = item.key.slice(0, item.key.lastIndexOf("/") + 1);
      const edges = data.graphs[item.graph].edges;
      [["Inputs from", 1, 0], ["Used by", 0, 1]].forEach(([title, mine, other]) => {
        const found = edges.filter((e) => e[mine] === item.index).map((e) => e[other]);
        if (!found.length) return;
        html("p", "rw-label", title, detail);
        const list = html("ul", "", "", detail);
        found.slice(0, MOST).forEach((index) => {
          const to = byKey.get(prefix + index);
          const button = html("button", "", to.node[0] + " (" + data.classes[to.node[1]] + ")", html("li", "", "", list));
          button.type = "button";
          button.addEventListener("click", () => { select(byKey.get(prefix + index), true); });
        });
      });
    }

    // -- search --------------------------------------------------
    function look() {
      const wanted = search.value.trim().toLowerCase();
      hits.replaceChildren();
      hits.hidden = !wanted;
      if (!wanted) return;
      let count = 0;
      data.graphs.forEach((graph, number) => (keyOf(number, 0) === null ? [] : graph.nodes).forEach((item, index) => {
        const kind = data.classes[item[1]];
        if (!(item[0].toLowerCase().includes(wanted) || kind.toLowerCase().includes(wanted))) return;
        count += 1;
        if (count > MOST) return;
        const button = html("button", "", (graph.name ? graph.name + "/" : "") + item[0] + " (" + kind + ")", hits);
        button.type = "button";
        button.addEventListener("click", () => { hits.hidden = true; reveal(number, index); canvas.focus({ preventScroll: true }); });
      }));
      html("p", "", count === 0 ? "No node" : count > MOST ? count + " nodes, the first " + MOST + " are shown" : count + (count === 1 ? " node" : " nodes"), hits);
    }

    search.addEventListener("input", look);
    search.addEventListener("focus", look);
    search.addEventListener("keydown", (event) => {
      const first = hits.querySelector("button");
      if (event.key === "Enter" && first) { first.click(); event.preventDefault(); }
      if (event.key === "ArrowDown" && first) { first.focus(); event.preventDefault(); }
      if (event.key === "Escape") { hits.hidden = true; }
    });
    hits.addEventListener("keydown", (event) => {
      const at = document.activeElement;
      const next = event.key === "ArrowDown" ? at.nextElementSibling : event.key === "ArrowUp" ? at.previousElementSibling || search : null;
      if (next && (next === search || next.tagName === "BUTTON")) { next.focus(); event.preventDefault(); }
      if (event.key === "Escape") { hits.hidden = true; search.focus(); }
    });
    document.addEventListener("pointerdown", (event) => { if (!event.target.closest(".rw-search")) hits.hidden = true; });

    // -- pointers, wheel, keys --------------------------------------------------
    const pointers = new Map();
    let moved = 0;
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button > 0) return;
      canvas.setPointerCapture(event.pointerId);
      pointers.set(event.pointerId, [event.clientX, event.clientY]);
      moved = 0;
      canvas.classList.add("rw-dragging");
    });
    canvas.addEventListener("pointermove", (event) => {
      const was = pointers.get(event.pointerId);
      if (!was) return;
      const now = [event.clientX, event.clientY];
      if (pointers.size === 1) move(now[0] - was[0], now[1] - was[1]);
      else {
        const other = Array.from(pointers).find(([id]) => id !== event.pointerId)[1];
        const box = canvas.getBoundingClientRect();
        const apart = (p) => Math.hypot(p[0] - other[0], p[1] - other[1]) || 1;
        zoom(apart(now) / apart(was), (now[0] + other[0]) / 2 - box.left, (now[1] + other[1]) / 2 - box.top);
      }
      moved += Math.abs(now[0] - was[0]) + Math.abs(now[1] - was[1]);
      pointers.set(event.pointerId, now);
    });
    function at(event) {
      const box = canvas.getBoundingClientRect();
      const x = (event.clientX - box.left - view.x) / view.k, y = (event.clientY - box.top - view.y) / view.k;
      const inside = (item) => x >= item.x && x <= item.x + item.w && y >= item.y && y <= item.y + item.h;
      return items.find(inside) || groups.filter((item) => inside(item) && y <= item.y + HEAD).pop() || null;
    }
    canvas.addEventListener("pointerup", (event) => {
      pointers.delete(event.pointerId);
      canvas.classList.remove("rw-dragging");
      if (moved < 5) select(at(event), false);
    });
    canvas.addEventListener("pointercancel", (event) => { pointers.delete(event.pointerId); canvas.classList.remove("rw-dragging"); });
    canvas.addEventListener("dblclick", (event) => {
      const item = at(event);
      if (item) toggle(item, true);
    });
    canvas.addEventListener("wheel", (event) => {
      const focused = document.activeElement === canvas;
      if (!event.ctrlKey && !event.metaKey && !focused) return; // the page scrolls
      event.preventDefault();
      const box = canvas.getBoundingClientRect();
      zoom(Math.exp(-Math.max(-60, Math.min(60, event.deltaY)) * 0.006), event.clientX - box.left, event.clientY - box.top);
    }, { passive: false });
    const KEYS = {
      ArrowLeft: () => move(80, 0), ArrowRight: () => move(-80, 0), ArrowUp: () => move(0, 80), ArrowDown: () => move(0, -80),
      "+": () => zoom(1.25), "=": () => zoom(1.25), "-": () => zoom(0.8), "0": fit,
      Enter: () => { if (selected) toggle(selected, false); },
      Escape: () => select(null, false),
    };
    canvas.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || !KEYS[event.key]) return;
      KEYS[event.key]();
      event.preventDefault();
    });
    const DO = {
      in: () => zoom(1.25), out: () => zoom(0.8), fit,
      unfold: () => { unfold(0, "", { left: 20000 }); selected = null; arrange(); fit(); describe(null); },
      fold: () => { open.clear(); selected = null; arrange(); fit(); describe(null); },
    };
    section.querySelectorAll("[data-do]").forEach((button) => {
      const name = button.dataset.do;
      if (name.endsWith("fold") && data.graphs.length < 2) button.hidden = true;
      button.addEventListener("click", () => DO[name]());
    });
    document.querySelectorAll('[data-graph="' + section.id + '"]').forEach((button) => {
      const at = data.findings.find((f) => f[2] === button.dataset.show);
      if (!at) return;
      button.parentElement.hidden = false;
      button.addEventListener("click", () => {
        section.scrollIntoView();
        reveal(at[0], at[1]);
        canvas.focus({ preventScroll: true });
      });
    });

    section.querySelectorAll(".rw-tools, .rw-stage, .rw-help").forEach((part) => { part.hidden = false; });
    describe(null);
    arrange();
    begin();
    const resized = new ResizeObserver(() => { drawn = null; draw(); });
    resized.observe(canvas);
    section.graph = { select, reveal, fit, zoom, move, open, toggle, get view() { return view; }, get items() { return items; }, get selected() { return selected; } };
  }

  document.querySelectorAll(".rw-whole").forEach(Graph);
})();

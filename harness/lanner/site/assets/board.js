// What makes the pages interactive; every number is in the page without it. No network: all files lie beside.
(function () {
  "use strict";
  var root = document.body.dataset.root;
  var loading = {};

  function load(name) {
    if (!loading[name]) {
      loading[name] = new Promise(function (resolve, reject) {
        var element = document.createElement("script");
        element.src = root + name;
        element.onload = resolve;
        element.onerror = function () { reject(new Error(name + " is missing beside this page")); };
        document.head.appendChild(element);
      });
    }
    return loading[name];
  }

  // --- light and dark -------------------------------------------------------------------------------------
  var button = document.getElementById("theme");
  var system = window.matchMedia("(prefers-color-scheme: dark)");
  function dark() { var chosen = document.documentElement.dataset.theme; return chosen ? chosen === "dark" : system.matches; }
  function show() {
    button.textContent = dark() ? "Light" : "Dark";
    button.setAttribute("aria-pressed", String(dark()));
    button.setAttribute("aria-label", dark() ? "Switch to light colours" : "Switch to dark colours");
  }
  button.hidden = false;
  button.addEventListener("click", function () {
    var next = dark() ? "light" : "dark";
    document.documentElement.dataset.theme = next;
    try { window.localStorage.setItem("lanner-theme", next); } catch (error) { /* storage is off */ }
    show();
    redraw();
  });
  system.addEventListener("change", function () { show(); redraw(); });
  show();

  // --- tables: sorted and filtered by DataTables, as packed by itables -------------------------------------
  function tables() {
    var found = document.querySelectorAll("table.sortable");
    if (!found.length) return;
    var style = document.createElement("link");
    style.rel = "stylesheet";
    style.href = root + "assets/tables.css";
    document.head.insertBefore(style, document.head.querySelector("link[rel=stylesheet]"));
    load("assets/tables.js").then(function () {
      var waiting = Array.prototype.slice.call(found);
      (function next() { // one at a time, so that the page answers in between
        var element = waiting.shift();
        if (!element) return;
        sortable(element);
        setTimeout(next, 0);
      })();
    });
  }
  function sortable(element) {
    // Rows beyond the first page are kept from the first layout; from here on the paging does that.
    var rest = element.tBodies[1];
    if (rest) {
      element.removeChild(rest);
      element.tBodies[0].append.apply(element.tBodies[0], Array.prototype.slice.call(rest.rows));
    }
    var rows = element.tBodies[0].rows, long = rows.length > 25;
    // What a column holds is said here: to find out, DataTables would look at every cell several times.
    var kinds = Array.prototype.map.call(element.tHead.rows[0].cells, function (cell, index) {
      var number = rows[0] && rows[0].cells[index] && rows[0].cells[index].hasAttribute("data-order");
      return number ? { targets: index, type: "num", orderSequence: ["desc", "asc", ""] } : { targets: index, type: "html" };
    });
    element.style.display = "none"; // DataTables asks for sizes while all rows are in: this way there are none
    var table = new window.LannerTables.DataTable(element, {
      order: [], paging: long, pageLength: 50, lengthMenu: [25, 50, 100, { label: "all", value: -1 }],
      searching: long || element.id === "overview", info: long, autoWidth: false, columnDefs: kinds,
      language: { search: "Filter ", lengthMenu: "_MENU_ rows" }
    });
    element.style.display = "";
    element.dataset.ready = "true";
    if (element.id === "overview") filters(table);
    window.addEventListener("beforeprint", function () { table.page.len(-1).draw(); });
  }
  function filters(table) {
    var box = document.getElementById("filters");
    if (!box) return;
    box.hidden = false;
    box.querySelectorAll("select").forEach(function (select) {
      select.addEventListener("change", function () {
        var exact = select.value.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
        table.column(Number(select.dataset.column)).search(exact ? "^" + exact + "$" : "", { regex: true, smart: false }).draw();
      });
    });
  }

  // --- pictures: drawn when they come into view ------------------------------------------------------------
  var drawn = [];
  var config = { displaylogo: false, responsive: true, modeBarButtonsToRemove: ["select2d", "lasso2d"], showSendToCloud: false };
  function coloured(value, style) {
    if (typeof value === "string") {
      var name = /^var\((--[a-z]+)\)$/.exec(value);
      return name ? style.getPropertyValue(name[1]).trim() : value;
    }
    if (Array.isArray(value)) return value.map(function (item) { return coloured(item, style); });
    if (value && typeof value === "object") {
      var copy = {};
      Object.keys(value).forEach(function (key) { copy[key] = coloured(value[key], style); });
      return copy;
    }
    return value;
  }
  function themed(figure) {
    var style = getComputedStyle(document.documentElement);
    var made = coloured(figure, style);
    var ink = style.getPropertyValue("--ink").trim(), line = style.getPropertyValue("--line").trim();
    made.layout.paper_bgcolor = made.layout.plot_bgcolor = "rgba(0,0,0,0)";
    made.layout.font = { color: ink, size: 13, family: getComputedStyle(document.body).fontFamily };
    made.layout.modebar = { bgcolor: "rgba(0,0,0,0)", color: style.getPropertyValue("--quiet").trim(), activecolor: style.getPropertyValue("--mark").trim() };
    made.layout.hoverlabel = { bgcolor: style.getPropertyValue("--paper").trim(), font: { color: ink } };
    ["xaxis", "yaxis"].forEach(function (axis) {
      made.layout[axis] = Object.assign({ gridcolor: line, zerolinecolor: line, fixedrange: false }, made.layout[axis]);
    });
    return made;
  }
  function draw(picture) {
    var figure = picture.figure();
    if (!figure) return;
    var made = themed(figure);
    var plot = picture.element.querySelector(".plot");
    plot.style.minHeight = made.layout.height + "px";
    return window.Plotly.react(plot, made.data, made.layout, config).then(function () { picture.element.dataset.ready = "true"; });
  }
  function redraw() { if (window.Plotly) drawn.forEach(draw); }

  function start(element) {
    if (element.dataset.started) return;
    element.dataset.started = "true";
    var spec = JSON.parse(element.querySelector("script.spec").textContent);
    load("assets/plotly.min.js").then(function () {
      if (spec.lazy) return conditions(element, spec.lazy.files);
      var choice = element.querySelector("select.choice");
      var picture = { element: element, figure: function () { return spec.figures[choice ? choice.value : Object.keys(spec.figures)[0]]; } };
      if (choice) choice.addEventListener("change", function () { draw(picture); });
      drawn.push(picture);
      return draw(picture);
    }).catch(function (error) { element.querySelector(".plot").textContent = String(error.message || error); });
  }

  // --- condition by condition: data files are scripts, which pages opened from disk may load ---------------
  var payloads = {};
  window.lannerData = function (name, value) { payloads[name] = value; };
  function control(box, label, options, chosen) {
    var holder = document.createElement("label"), select = document.createElement("select");
    holder.textContent = label + " ";
    options.forEach(function (name) {
      var option = document.createElement("option");
      option.value = option.textContent = name;
      option.selected = name === chosen;
      select.appendChild(option);
    });
    holder.appendChild(select);
    box.appendChild(holder);
    return select;
  }
  function plain(name) { return String(name).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;"); }
  var palette = ["#2f7fc1", "#d9722e", "#2f9e6e", "#b8569e", "#a3871c", "#c94f4f", "#5d7fa6", "#7a6fd0", "#3aa6a6", "#8f6a4f"];
  var marks = ["circle", "square", "diamond", "triangle-up", "x", "cross", "star", "pentagon"];
  function conditions(element, files) {
    var box = element.querySelector(".controls");
    var metric = control(box, "metric", Object.keys(files), Object.keys(files)[0]);
    var data, across, up, by;
    var picture = { element: element, figure: function () { return data && cloud(data, across.value, up.value, by.value); } };
    drawn.push(picture);
    function choose() {
      var file = files[metric.value];
      return load("data/" + file).then(function () {
        data = payloads[file];
        while (box.children.length > 1) box.removeChild(box.lastChild);
        var names = Object.keys(data.values);
        var first = names.indexOf("train-mean") >= 0 ? "train-mean" : names[0];
        var second = names.filter(function (name) { return name !== first; })[0];
        across = control(box, "across", names, first);
        up = control(box, "up", names, second);
        by = control(box, "coloured by", ["nothing"].concat(Object.keys(data.strata)), Object.keys(data.strata)[0]);
        [across, up, by].forEach(function (select) { select.addEventListener("change", function () { draw(picture); }); });
        return draw(picture);
      });
    }
    metric.addEventListener("change", choose);
    return choose();
  }
  function cloud(data, across, up, by) {
    var x = data.values[across], y = data.values[up], labels = data.strata[by];
    var groups = labels ? Array.from(new Set(labels)).sort() : [""];
    var low = Infinity, high = -Infinity;
    x.concat(y).forEach(function (value) { if (value !== null) { low = Math.min(low, value); high = Math.max(high, value); } });
    var traces = groups.map(function (group, number) {
      var at = data.names.map(function (name, index) { return index; }).filter(function (index) { return !labels || labels[index] === group; });
      return {
        type: "scatter", mode: "markers", name: plain(group),
        x: at.map(function (i) { return x[i]; }), y: at.map(function (i) { return y[i]; }),
        text: at.map(function (i) { return plain(data.names[i]); }),
        hovertemplate: "%{text}<br>across %{x:.4g}, up %{y:.4g}<extra></extra>",
        marker: { size: 8, opacity: 0.8, color: palette[number % palette.length], symbol: marks[number % marks.length] }
      };
    });
    return {
      data: traces,
      layout: {
        height: 480, margin: { l: 10, r: 10, t: 34, b: 45 }, showlegend: groups.length > 1,
        legend: { orientation: "h", y: -0.2 },
        xaxis: { title: { text: plain(across + ", " + data.metric) }, automargin: true },
        yaxis: { title: { text: plain(up + ", " + data.metric) }, automargin: true },
        shapes: [{ type: "line", x0: low, y0: low, x1: high, y1: high, line: { color: "var(--quiet)", width: 1, dash: "dot" }, layer: "below" }]
      }
    };
  }

  var pictures = document.querySelectorAll("figure.picture");
  if (pictures.length) {
    var watch = new IntersectionObserver(function (entries) {
      entries.forEach(function (entry) { if (entry.isIntersecting) { watch.unobserve(entry.target); start(entry.target); } });
    }, { rootMargin: "300px" });
    pictures.forEach(function (element) { watch.observe(element); });
    window.addEventListener("beforeprint", function () { pictures.forEach(start); });
  }
  // After the first paint: reading comes before sorting.
  requestAnimationFrame(function () { setTimeout(tables, 0); });
})();

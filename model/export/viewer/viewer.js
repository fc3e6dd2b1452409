"use strict";

// Turns the cards of index.html into heads that can be turned. A page opened from a disk may not read other files,
// but it may run scripts: the head's triangles come as viewer/head.js, each face as its own viewer.js, which calls
// likeness.add() and is loaded when its card comes near the screen. Without WebGL the page stays as it is.

(function () {
  const DRAG_DEGREES_PER_PX = 0.55;
  const HOVER_DEGREES_PER_PX = 0.16;
  const KEY_DEGREES = 10;
  const LAMP_REACH = 0.9;
  const LEAST_ZOOM = 0.6, GREATEST_ZOOM = 4;
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;

  const renderer = likeness.createRenderer();
  const cards = [];
  const panels = [];
  const MODES = ["lit", "unlit", "clay"];
  // `expression` overrides the photograph's weights by name; with `neutral` all others are 0.
  const page = { mode: "lit", frontal: false, hair: true, lamp: { x: -0.45, y: 0.5 }, neutral: false, expression: {} };
  // Factors of the heads' differences from the mean person; regions without one have that of the whole.
  page.factors = { whole: 1 };
  let scheduled = false;

  function clamp(value, least, greatest) {
    return Math.min(Math.max(value, least), greatest);
  }

  class Card {
    constructor(element) {
      this.element = element;
      this.face = null;
      this.asked = this.visible = false;
      this.hover = { yaw: 0, pitch: 0 };  // Where the mouse wants the head besides; `shown` follows it.
      this.shown = { yaw: 0, pitch: 0 };
      this.anchor = null;
      this.pointers = new Map();
      this.canvas = document.createElement("canvas");
      this.canvas.className = "head";
      this.canvas.tabIndex = 0;
      this.canvas.setAttribute("role", "img");
      this.canvas.setAttribute("aria-label", element.dataset.label);
      this.stage = document.createElement("div");
      this.stage.className = "stage";
      this.lamp = new LampHandle();
      this.stage.append(this.canvas, this.lamp.element);
      element.querySelector(".pictures").append(this.stage);
      element.classList.add("live", "waiting");
      this.reset();
      this.listen();
    }

    reset() {
      this.yaw = this.pitch = 0;
      this.zoom = 1;
      this.change();
    }

    change() {
      this.dirty = true;
      schedule();
    }

    turn(yaw, pitch) {
      this.yaw = (this.yaw + yaw) % 360;
      this.pitch = clamp(this.pitch + pitch, -90, 90);
      this.change();
    }

    magnify(factor) {
      this.zoom = clamp(this.zoom * factor, LEAST_ZOOM, GREATEST_ZOOM);
      this.change();
    }

    load() {
      if (this.asked) return;
      this.asked = true;
      // Until the head is drawn, the picture of it that lies beside the photograph.
      const overlay = this.element.querySelector(".overlay img");
      if (overlay) this.canvas.style.backgroundImage = `url("${overlay.src}")`;
      const script = document.createElement("script");
      script.src = this.element.dataset.viewer;
      script.card = this;
      script.onerror = () => this.giveUp();
      document.head.append(script);
    }

    giveUp() {
      this.stage.remove();
      this.element.classList.remove("live", "waiting");
    }

    receive(face) {
      const images = {};
      const loads = [];
      for (const [part, addresses] of Object.entries(face.textures)) {
        images[part] = {};
        for (const [name, address] of Object.entries(addresses)) {
          images[part][name] = new Image();
          images[part][name].src = address;
          loads.push(images[part][name].decode());
        }
      }
      Promise.all(loads).then(
        () => {
          const rest = likeness.points(face.positions, face.lowest, face.highest);
          const occlusion = new Uint8Array(likeness.bytes(face.occlusion));
          this.face = { ...face, rest, shape: rest, occlusion, images, own: face.weights, weights: {} };
          if (face.parts.some((part) => part.name === "hair")) document.documentElement.classList.add("hairy");
          this.exaggerate();
          this.express();
        },
        () => this.giveUp(),
      );
    }

    // The weights that the page asks for; a new object, by which the renderer knows that something moved.
    express() {
      if (!this.face || !likeness.expressionNames) return;
      const own = page.neutral ? [] : likeness.expressionNames.map((name, index) => [name, this.face.own[index]]);
      this.face.weights = { ...Object.fromEntries(own), ...page.expression };
      this.change();
    }

    // The shape that the page's factors ask for; a new object, too.
    exaggerate() {
      if (!this.face || !this.face.meanPlacement || !likeness.mean) return;
      const { rest, meanPlacement } = this.face;
      const plain = Object.values(page.factors).every((factor) => factor === 1);
      this.face.shape = plain ? rest : likeness.exaggerated(rest, likeness.mean, meanPlacement, likeness.regions, page.factors);
      this.change();
    }

    see(visible) {
      this.visible = visible;
      if (visible) this.load();
      // A picture nobody sees gives its memory back.
      else this.canvas.width = this.canvas.height = 0;
      this.change();
    }

    // One step of following the mouse, and the picture; true while there is more to follow.
    draw() {
      if (!this.visible || !this.face || !renderer.ready()) return false;
      const step = calm ? 1 : 0.25;
      let moving = false;
      for (const axis of ["yaw", "pitch"]) {
        const rest = this.hover[axis] - this.shown[axis];
        moving = moving || rest !== 0;
        this.shown[axis] = Math.abs(rest) > 0.05 ? this.shown[axis] + step * rest : this.hover[axis];
      }
      if (!this.dirty && !moving) return false;
      this.dirty = false;
      // More pixels than most screens have: the browser makes them smaller, and the outlines smooth.
      const side = 2 * this.canvas.clientWidth;
      if (this.canvas.width !== side) this.canvas.width = this.canvas.height = side;
      const start = page.frontal ? [1, 0, 0, 0, 1, 0, 0, 0, 1] : this.face.rotation;
      const rotation = likeness.turned(this.yaw + this.shown.yaw, this.pitch + this.shown.pitch, start);
      if (side > 0) {
        const lamp = likeness.lampDirection(page.lamp.x, page.lamp.y);
        renderer.draw(this.face, { rotation, zoom: this.zoom, mode: page.mode, hair: page.hair, lamp }, this.canvas);
        this.arrive();
      }
      return moving;
    }

    arrive() {
      this.element.classList.remove("waiting");
      this.canvas.style.backgroundImage = "";
    }

    listen() {
      const on = (name, act, options) => this.canvas.addEventListener(name, act, options);
      on("pointerenter", () => (this.anchor = null));
      on("pointerdown", (event) => this.press(event));
      on("pointermove", (event) => (this.pointers.has(event.pointerId) ? this.drag(event) : this.follow(event)));
      on("pointerup", (event) => this.release(event));
      on("pointercancel", (event) => this.release(event));
      on("pointerleave", () => this.lookAway());
      on("dblclick", () => this.reset());
      on("keydown", (event) => this.key(event));
      // Only for the head that was clicked: otherwise the wheel could not scroll past the heads.
      on("wheel", (event) => this.wheel(event), { passive: false });
    }

    press(event) {
      if (event.button !== 0) return;
      this.pointers.set(event.pointerId, event);
      this.canvas.setPointerCapture(event.pointerId);
      // The head stays where the mouse has led it.
      this.turn(this.shown.yaw, this.shown.pitch);
      this.hover = { yaw: 0, pitch: 0 };
      this.shown = { yaw: 0, pitch: 0 };
    }

    drag(event) {
      const before = this.pointers.get(event.pointerId);
      const other = [...this.pointers.values()].find((pointer) => pointer.pointerId !== event.pointerId);
      if (other) {
        const apart = (one) => Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY);
        this.magnify(apart(event) / Math.max(apart(before), 1));
      } else {
        const degrees = DRAG_DEGREES_PER_PX / Math.sqrt(this.zoom);
        this.turn(degrees * (event.clientX - before.clientX), degrees * (event.clientY - before.clientY));
      }
      this.pointers.set(event.pointerId, event);
    }

    follow(event) {
      if (calm || event.pointerType !== "mouse") return;
      const box = this.canvas.getBoundingClientRect();
      this.anchor = this.anchor || { x: box.left + box.width / 2, y: box.top + box.height / 2 };
      this.hover.yaw = HOVER_DEGREES_PER_PX * (event.clientX - this.anchor.x);
      this.hover.pitch = HOVER_DEGREES_PER_PX * (event.clientY - this.anchor.y);
      this.change();
    }

    release(event) {
      this.pointers.delete(event.pointerId);
      this.anchor = { x: event.clientX, y: event.clientY };
    }

    lookAway() {
      if (this.pointers.size) return;
      this.hover = { yaw: 0, pitch: 0 };
      this.change();
    }

    wheel(event) {
      if (document.activeElement !== this.canvas && !event.ctrlKey) return;
      event.preventDefault();
      this.magnify(Math.exp(-0.0015 * event.deltaY * (event.deltaMode ? 20 : 1)));
    }

    key(event) {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const act = {
        ArrowLeft: () => this.turn(-KEY_DEGREES, 0),
        ArrowRight: () => this.turn(KEY_DEGREES, 0),
        ArrowUp: () => this.turn(0, -KEY_DEGREES),
        ArrowDown: () => this.turn(0, KEY_DEGREES),
        "+": () => this.magnify(1.15),
        "=": () => this.magnify(1.15),
        "-": () => this.magnify(1 / 1.15),
        0: () => this.reset(),
      }[event.key];
      if (!act) return;
      event.preventDefault();
      act();
    }
  }

  // The lamp of all heads; it is dragged on any of them. Its place on the picture is where it shines from.
  class LampHandle {
    constructor() {
      this.element = document.createElement("div");
      this.element.className = "lamp";
      this.element.tabIndex = 0;
      this.element.title = "Drag the lamp";
      this.element.setAttribute("role", "slider");
      this.element.setAttribute("aria-label", "Lamp: drag it, or move it with the arrow keys");
      const on = (name, act) => this.element.addEventListener(name, act);
      on("pointerdown", (event) => {
        event.stopPropagation();
        this.element.setPointerCapture(event.pointerId);
      });
      on("pointermove", (event) => this.drag(event));
      on("keydown", (event) => this.key(event));
      this.place();
    }

    drag(event) {
      if (!this.element.hasPointerCapture(event.pointerId)) return;
      const box = this.element.parentElement.getBoundingClientRect();
      const x = (2 * (event.clientX - box.left)) / box.width - 1;
      moveLamp(x / LAMP_REACH, (1 - (2 * (event.clientY - box.top)) / box.height) / LAMP_REACH);
    }

    key(event) {
      const step = { ArrowLeft: [-0.1, 0], ArrowRight: [0.1, 0], ArrowUp: [0, 0.1], ArrowDown: [0, -0.1] }[event.key];
      if (!step) return;
      event.preventDefault();
      event.stopPropagation();
      moveLamp(page.lamp.x + step[0], page.lamp.y + step[1]);
    }

    place() {
      this.element.style.left = `${50 + 50 * LAMP_REACH * page.lamp.x}%`;
      this.element.style.top = `${50 - 50 * LAMP_REACH * page.lamp.y}%`;
    }
  }

  function moveLamp(x, y) {
    const beyond = Math.max(Math.hypot(x, y), 1);
    page.lamp = { x: x / beyond, y: y / beyond };
    cards.forEach((card) => {
      card.lamp.place();
      card.change();
    });
  }

  // One slider for each expression, made when the panel is opened for the first time.
  class ExpressionPanel {
    constructor(element) {
      this.element = element;
      this.sliders = new Map();
      element.addEventListener("toggle", () => this.fill());
      for (const button of element.querySelectorAll("button[data-expression]"))
        button.addEventListener("click", () => this.reset(button.dataset.expression === "neutral"));
    }

    fill() {
      if (this.sliders.size || !likeness.expressionNames) return;
      const list = this.element.querySelector(".sliders");
      for (const name of likeness.expressionNames) {
        const label = document.createElement("label");
        const slider = document.createElement("input");
        Object.assign(slider, { type: "range", min: 0, max: 1, step: 0.01, value: 0 });
        slider.addEventListener("input", () => this.set(name, Number(slider.value)));
        label.append(name, slider);
        list.append(label);
        this.sliders.set(name, slider);
      }
      this.show();
    }

    set(name, value) {
      page.expression = { ...page.expression, [name]: value };
      cards.forEach((card) => card.express());
    }

    // All at rest, or all as their photographs show them.
    reset(neutral) {
      page.neutral = neutral;
      page.expression = {};
      cards.forEach((card) => card.express());
      this.show();
    }

    // The sliders stand as the first head does.
    show() {
      const first = cards.find((card) => card.face);
      for (const [name, slider] of this.sliders) slider.value = (first && first.face.weights[name]) || 0;
    }
  }

  // Sliders for caricatures: the whole head, and regions, which go with the whole until they are moved themselves.
  class CaricaturePanel {
    constructor(element) {
      this.element = element;
      this.sliders = new Map();
      element.addEventListener("toggle", () => this.fill());
      element.querySelector("button").addEventListener("click", () => this.reset());
    }

    fill() {
      if (this.sliders.size || !likeness.regions) return;
      const list = this.element.querySelector(".sliders");
      for (const name of ["whole", ...Object.keys(likeness.regions)]) {
        const label = document.createElement("label");
        const slider = document.createElement("input");
        Object.assign(slider, { type: "range", min: 0, max: 2.5, step: 0.05, value: 1 });
        slider.dataset.factor = name;
        slider.addEventListener("input", () => this.set(name, Number(slider.value)));
        label.append(name, slider);
        list.append(label);
        this.sliders.set(name, slider);
      }
    }

    set(name, value) {
      page.factors = { ...page.factors, [name]: value };
      this.show();
    }

    reset() {
      page.factors = { whole: 1 };
      this.show();
    }

    show() {
      for (const [name, slider] of this.sliders) slider.value = page.factors[name] ?? page.factors.whole;
      cards.forEach((card) => card.exaggerate());
    }
  }

  function schedule() {
    if (scheduled) return;
    scheduled = true;
    requestAnimationFrame(() => {
      scheduled = false;
      if (cards.map((card) => card.draw()).some(Boolean)) schedule();
    });
  }

  function toggle(name) {
    page[name] = !page[name];
    show();
  }

  function choose(mode) {
    page.mode = mode;
    show();
  }

  function show() {
    document.documentElement.dataset.mode = page.mode;
    for (const button of document.querySelectorAll("button[data-mode]"))
      button.setAttribute("aria-pressed", button.dataset.mode === page.mode);
    for (const button of document.querySelectorAll("button[data-toggle]"))
      button.setAttribute("aria-pressed", page[button.dataset.toggle]);
    cards.forEach((card) => card.change());
  }

  // index.html#turn=30,-10&zoom=2&clay&frontal&lamp=-0.5,0.5 shows all heads so.
  function readAddress() {
    const wanted = new URLSearchParams(location.hash.slice(1));
    page.mode = MODES.find((mode) => wanted.has(mode)) || "lit";
    const [x, y] = (wanted.get("lamp") || "-0.45,0.5").split(",").map((part) => Number(part) || 0);
    moveLamp(x, y);
    page.frontal = wanted.has("frontal");
    const [yaw, pitch] = (wanted.get("turn") || "0,0").split(",").map((part) => Number(part) || 0);
    for (const card of cards) {
      card.reset();
      card.turn(yaw, pitch);
      card.magnify(Number(wanted.get("zoom")) || 1);
    }
    show();
  }

  likeness.setHead = function (head) {
    const expressions = head.expressions.map(({ name, largest, vertex, moved }) => ({
      name,
      largest,
      vertex: new Uint32Array(likeness.bytes(vertex)),
      moved: new Int16Array(likeness.bytes(moved)),
    }));
    likeness.expressionNames = expressions.map(({ name }) => name);
    likeness.mean = likeness.points(head.mean.positions, head.mean.lowest, head.mean.highest);
    likeness.regions = Object.fromEntries(
      Object.entries(head.regions).map(([name, shares]) => [name, new Uint8Array(likeness.bytes(shares))]),
    );
    renderer.setHead({
      parts: head.parts.map(likeness.part),
      roughness: new Uint8Array(likeness.bytes(head.roughness)),
      expressions,
    });
    cards.forEach((card) => card.exaggerate());
    cards.forEach((card) => card.express());
    panels.forEach((panel) => panel.element.open && panel.fill());
    show();
  };

  // The script that calls knows its card, so that no file needs to hold its own name.
  likeness.add = function (face) {
    document.currentScript.card.receive(face);
  };

  function start() {
    const elements = [...document.querySelectorAll("[data-viewer]")];
    if (!renderer || !elements.length) return;
    document.documentElement.classList.add("live");
    const byCanvas = new Map();
    for (const element of elements) {
      const card = new Card(element);
      cards.push(card);
      byCanvas.set(card.canvas, card);
    }
    readAddress();
    const shared = document.createElement("script");
    shared.src = "viewer/head.js";
    shared.onerror = () => {
      document.documentElement.classList.remove("live");
      cards.forEach((card) => card.giveUp());
    };
    document.head.append(shared);
    const seen = (entries) => entries.forEach((entry) => byCanvas.get(entry.target).see(entry.isIntersecting));
    const sight = new IntersectionObserver(seen, { rootMargin: "300px" });
    const size = new ResizeObserver((entries) => entries.forEach((entry) => byCanvas.get(entry.target).change()));
    for (const canvas of byCanvas.keys()) {
      sight.observe(canvas);
      size.observe(canvas);
    }
    renderer.onRestored(show);
    for (const button of document.querySelectorAll("button[data-toggle]"))
      button.addEventListener("click", () => toggle(button.dataset.toggle));
    for (const button of document.querySelectorAll("button[data-mode]"))
      button.addEventListener("click", () => choose(button.dataset.mode));
    for (const element of document.querySelectorAll("details.expressions")) panels.push(new ExpressionPanel(element));
    for (const element of document.querySelectorAll("details.caricature")) panels.push(new CaricaturePanel(element));
    const keys = { l: () => choose("lit"), u: () => choose("unlit"), c: () => choose("clay"), f: () => toggle("frontal"), h: () => toggle("hair") };
    document.addEventListener("keydown", (event) => {
      const plain = !(event.ctrlKey || event.metaKey || event.altKey);
      if (plain && keys[event.key]) keys[event.key]();
    });
    window.addEventListener("hashchange", readAddress);
  }

  start();
})();

"use strict";
(() => {
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.hidden = true;
  tip.setAttribute("aria-hidden", "true");
  document.body.append(tip);
  const place = (event) => {
    tip.hidden = false;
    const { width, height } = tip.getBoundingClientRect();
    const right = event.clientX + 16 + width > innerWidth;
    tip.style.left = Math.max(4, right ? event.clientX - width - 12 : event.clientX + 16) + "px";
    tip.style.top = Math.max(4, Math.min(event.clientY + 14, innerHeight - height - 8)) + "px";
  };
  const hide = () => { tip.hidden = true; };
  const element = (kind, style, text) => {
    const made = document.createElement(kind);
    made.className = style;
    made.textContent = text;
    return made;
  };
  // Where steps are sorted: the nearest to x.
  const nearest = (steps, x) => {
    let low = 0, high = steps.length - 1;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (steps[middle] < x) low = middle; else high = middle;
    }
    return Math.abs(steps[low] - x) <= Math.abs(steps[high] - x) ? low : high;
  };
  for (const figure of document.querySelectorAll(".curve")) {
    const svg = figure.querySelector("svg");
    const data = JSON.parse(figure.querySelector("script").textContent);
    const [left, top, right, bottom] = data.box;
    const { width, height } = svg.viewBox.baseVal;
    const rule = document.createElementNS("http://www.w3.org/2000/svg", "line");
    rule.setAttribute("class", "rule");
    rule.setAttribute("y1", top * height);
    rule.setAttribute("y2", bottom * height);
    const leave = () => { rule.remove(); hide(); };
    const move = (event) => {
      const box = svg.getBoundingClientRect();
      const share = ((event.clientX - box.left) / box.width - left) / (right - left);
      if (share < -0.02 || share > 1.02) return leave();
      const x = data.x[0] + share * (data.x[1] - data.x[0]);
      const found = data.lines.map((line) => [line, nearest(line.s, x)]);
      const near = (one) => Math.abs(one[0].s[one[1]] - x);
      found.sort((one, other) => near(one) - near(other));
      const step = found[0][0].s[found[0][1]];
      found.sort((one, other) => data.lines.indexOf(one[0]) - data.lines.indexOf(other[0]));
      tip.replaceChildren(element("div", "muted", data.u + " " + step.toLocaleString("en")));
      for (const [line, at] of found.slice(0, 12)) {
        const row = element("div", "l", "");
        row.append(element("span", "chip h" + line.h, ""), line.t + ": " + line.v[at]);
        tip.append(row);
      }
      if (found.length > 12) tip.append(element("div", "muted", "and " + (found.length - 12) + " more"));
      const place_x = (left + ((step - data.x[0]) / (data.x[1] - data.x[0])) * (right - left)) * width;
      rule.setAttribute("x1", place_x);
      rule.setAttribute("x2", place_x);
      svg.append(rule);
      place(event);
    };
    svg.addEventListener("pointermove", move);
    svg.addEventListener("pointerdown", move);
    svg.addEventListener("pointerleave", leave);
  }
  for (const svg of document.querySelectorAll(".map svg")) {
    const { side, columns, rows, sprite } = svg.dataset;
    const face = 96;
    const points = [...svg.querySelectorAll("circle")];
    const number = new Map(points.map((point, place) => [point, place]));
    const words = new Map();
    for (const point of points) {
      const title = point.querySelector("title");
      words.set(point, title.textContent);
      title.remove();
    }
    const over = (event) => {
      const point = event.target;
      if (!words.has(point)) return hide();
      tip.replaceChildren();
      if (sprite) {
        const at = number.get(point);
        const picture = element("div", "face " + sprite + (side <= 32 ? " tiny" : ""), "");
        picture.style.backgroundSize = columns * face + "px " + rows * face + "px";
        picture.style.backgroundPosition = -(at % columns) * face + "px " + -Math.floor(at / columns) * face + "px";
        tip.append(picture);
      }
      tip.append(element("div", "", words.get(point)));
      place(event);
    };
    svg.addEventListener("pointermove", over);
    svg.addEventListener("pointerdown", over);
    svg.addEventListener("pointerleave", hide);
  }
  addEventListener("scroll", hide, { passive: true });
})();

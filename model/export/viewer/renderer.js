"use strict";

// Draws heads with one WebGL context for the whole page: browsers allow only some sixteen, and a page may show
// hundreds of heads. Each picture is drawn out of sight and copied into the 2D canvas of its card.

var likeness = {};

likeness.bytes = function (base64) {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes.buffer;
};

// Points of 16 bits per coordinate inside a box, in mm.
likeness.points = function (base64, lowest, highest) {
  const whole = new Uint16Array(likeness.bytes(base64));
  const points = new Float32Array(whole.length);
  for (let i = 0; i < whole.length; i++) {
    const axis = i % 3;
    points[i] = lowest[axis] + (whole[i] / 65535) * (highest[axis] - lowest[axis]);
  }
  return points;
};

// Positions of a face at rest, moved by expressions: weights by name, of what the head's script says of each.
likeness.moved = function (rest, expressions, weights) {
  const points = Float32Array.from(rest);
  for (const { name, vertex, moved, largest } of expressions) {
    const step = ((weights[name] || 0) * largest) / 32767;
    if (!step) continue;
    for (let i = 0; i < vertex.length; i++) {
      const at = 3 * vertex[i];
      points[at] += step * moved[3 * i];
      points[at + 1] += step * moved[3 * i + 1];
      points[at + 2] += step * moved[3 * i + 2];
    }
  }
  return points;
};

// A face at rest, its differences from the mean person multiplied: `placement` puts the mean person onto it, row by row
// with the shift last; `factors` are those of the whole and of regions, whose shares are bytes.
likeness.exaggerated = function (rest, mean, placement, regions, factors) {
  const points = Float32Array.from(rest);
  const whole = factors.whole;
  const own = Object.keys(regions).filter((name) => factors[name] !== undefined);
  for (let i = 0, vertex = 0; i < rest.length; i += 3, vertex++) {
    let total = 0, beyond = 0;
    for (const name of own) {
      const share = regions[name][vertex] / 255;
      total += share;
      beyond += share * (factors[name] - whole);
    }
    const factor = whole + beyond / Math.max(total, 1) - 1;
    for (let axis = 0; axis < 3; axis++) {
      const at = mean[i] * placement[axis] + mean[i + 1] * placement[3 + axis] + mean[i + 2] * placement[6 + axis] + placement[9 + axis];
      points[i + axis] += factor * (rest[i + axis] - at);
    }
  }
  return points;
};

// Points that go along with vertices of a head from where they were to where they are.
likeness.following = function (points, follows, before, after) {
  const moved = Float32Array.from(points);
  follows.forEach((vertex, index) => {
    for (let axis = 0; axis < 3; axis++) moved[3 * index + axis] += after[3 * vertex + axis] - before[3 * vertex + axis];
  });
  return moved;
};

// Where a lamp hangs whose handle lies at x and y, from -1 to 1: on a half sphere before the head, aside at its rim.
likeness.lampDirection = function (x, y) {
  const reach = Math.hypot(x, y);
  const [across, up] = reach > 1 ? [x / reach, y / reach] : [x, y];
  return [across, up, Math.sqrt(Math.max(1 - across * across - up * up, 0))];
};

// A part's triangles and texture coordinates, as its script holds them.
likeness.part = function (part) {
  return {
    name: part.name,
    vertex: new Uint32Array(likeness.bytes(part.vertex)),
    faces: new Uint32Array(likeness.bytes(part.faces)),
    uv: new Uint16Array(likeness.bytes(part.uv)),
  };
};

// Normals at the vertices before they are split at texture seams, so that no seam shows in the shading.
likeness.normals = function (points, part) {
  const normals = new Float32Array(points.length);
  const { faces, vertex } = part;
  for (let f = 0; f < faces.length; f += 3) {
    const a = 3 * vertex[faces[f]], b = 3 * vertex[faces[f + 1]], c = 3 * vertex[faces[f + 2]];
    const ux = points[b] - points[a], uy = points[b + 1] - points[a + 1], uz = points[b + 2] - points[a + 2];
    const vx = points[c] - points[a], vy = points[c + 1] - points[a + 1], vz = points[c + 2] - points[a + 2];
    const x = uy * vz - uz * vy, y = uz * vx - ux * vz, z = ux * vy - uy * vx;
    for (const corner of [a, b, c]) {
      normals[corner] += x;
      normals[corner + 1] += y;
      normals[corner + 2] += z;
    }
  }
  return normals;  // The shader brings them to length one.
};

likeness.product = function (a, b) {
  const product = [];
  for (let row = 0; row < 3; row++)
    for (let column = 0; column < 3; column++)
      product.push(a[3 * row] * b[column] + a[3 * row + 1] * b[3 + column] + a[3 * row + 2] * b[6 + column]);
  return product;
};

// First about the vertical axis of the screen, then about the horizontal one; matrices are row by row.
likeness.turned = function (yaw, pitch, start) {
  const [y, x] = [(yaw * Math.PI) / 180, (pitch * Math.PI) / 180];
  const aboutY = [Math.cos(y), 0, Math.sin(y), 0, 1, 0, -Math.sin(y), 0, Math.cos(y)];
  const aboutX = [1, 0, 0, 0, Math.cos(x), -Math.sin(x), 0, Math.sin(x), Math.cos(x)];
  return likeness.product(aboutX, likeness.product(aboutY, start));
};

likeness.createRenderer = function () {
  // Heads far out of view give their memory back; a screen shows fewer than this.
  const HEADS_HELD = 24;
  // Open to all light and rather dull, in bytes: what brings its own points says nothing of either.
  const OWN_MATTER = [255, 140];
  const DISTANCE_MM = 1200;
  // Heads turn about the middle of the skull; model space begins between the eyes. The shoulders may be cut off.
  const CENTRE_MM = [0, -30, -40], HALF_VIEW_MM = 172;

  const VERTEX_SHADER = `#version 300 es
    in vec3 position;
    in vec3 normal;
    in vec2 uv;
    in vec2 matter;  // occlusion, roughness
    uniform mat3 rotation;
    uniform vec3 centre;
    uniform vec4 lens;  // scale, distance, nearest, farthest
    out vec3 toEye;
    out vec3 facing;
    out vec2 place;
    out vec2 surface;
    void main() {
      surface = matter;
      vec3 p = rotation * (position - centre);
      float depth = lens.y - p.z;
      float span = lens.w - lens.z;
      gl_Position = vec4(lens.x * p.xy, ((lens.w + lens.z) * depth - 2.0 * lens.w * lens.z) / span, depth);
      toEye = vec3(0.0, 0.0, lens.y) - p;
      facing = rotation * normal;
      place = uv;
    }`;

  const LIT = 0, UNLIT = 1, CLAY = 2;
  const MODES = { lit: LIT, unlit: UNLIT, clay: CLAY };
  const FRAGMENT_SHADER = `#version 300 es
    precision highp float;
    in vec3 toEye;
    in vec3 facing;
    in vec2 place;
    in vec2 surface;
    uniform sampler2D skin;
    uniform sampler2D relief;
    uniform int mode;
    uniform bool bumpy;
    uniform vec3 lamp;
    out vec4 color;

    vec3 toLinear(vec3 c) {
      return mix(c / 12.92, pow((c + 0.055) / 1.055, vec3(2.4)), step(0.04045, c));
    }

    vec3 toScreen(vec3 c) {
      return mix(c * 12.92, 1.055 * pow(max(c, 0.0031308), vec3(1.0 / 2.4)) - 0.055, step(0.0031308, c));
    }

    // The normal map's frame from how place and point change between pixels; green is up in the picture.
    vec3 withRelief(vec3 n) {
      vec3 px = -dFdx(toEye), py = -dFdy(toEye);
      vec2 dx = dFdx(place), dy = dFdy(place);
      float turn = sign(dx.x * dy.y - dx.y * dy.x);
      vec3 tangent = (px * dy.y - py * dx.y) * turn, down = (py * dx.x - px * dy.x) * turn;
      vec3 bump = texture(relief, place).xyz * 2.0 - 1.0;
      return normalize(bump.x * normalize(tangent) - bump.y * normalize(down) + max(bump.z, 0.1) * n);
    }

    // One lamp and a dim room. Reflection: GGX, Smith's shadowing, Schlick's Fresnel, as in glTF.
    vec3 lit(vec3 albedo, vec3 n, vec3 eye, float roughness) {
      float toLamp = max(dot(n, lamp), 0.0), toView = max(dot(n, eye), 0.001);
      vec3 half_ = normalize(lamp + eye);
      float a2 = pow(roughness, 4.0), nh = max(dot(n, half_), 0.0);
      float spread = a2 / (3.14159 * pow(nh * nh * (a2 - 1.0) + 1.0, 2.0));
      float k = pow(roughness + 1.0, 2.0) / 8.0;
      float seen = 0.25 / ((toLamp * (1.0 - k) + k) * (toView * (1.0 - k) + k));
      float fresnel = 0.04 + 0.96 * pow(1.0 - max(dot(eye, half_), 0.0), 5.0);
      vec3 room = (0.19 + 0.09 * n.y) * surface.x * albedo;
      return room + toLamp * (1.05 * albedo + 3.14159 * spread * seen * fresnel);
    }

    void main() {
      // Hair is a whole shell, cut out by its texture.
      if (texture(skin, place).a < 0.5) discard;
      vec3 n = normalize(facing + vec3(1e-9)) * (gl_FrontFacing ? 1.0 : -1.0);
      vec3 eye = normalize(toEye);
      if (mode == ${UNLIT}) {
        // The texture holds the photograph's own light.
        color = vec4(texture(skin, place).rgb, 1.0);
      } else if (mode == ${LIT}) {
        vec3 facet = bumpy ? withRelief(n) : n;
        color = vec4(toScreen(lit(toLinear(texture(skin, place).rgb), facet, eye, surface.y)), 1.0);
      } else {
        color = vec4(toScreen(lit(vec3(0.56, 0.50, 0.45), n, eye, 0.5)), 1.0);
      }
      if (!gl_FrontFacing) color.rgb *= 0.35;
    }`;

  const canvas = document.createElement("canvas");
  const gl = canvas.getContext("webgl2", { antialias: true, alpha: true });
  if (!gl) return null;

  let head = null;  // The parts, roughness and expressions that all faces share.
  let scene = null;
  const held = new Map();  // Face -> its parts' buffers and textures, the one not drawn for longest first.

  function shader(kind, source) {
    const made = gl.createShader(kind);
    gl.shaderSource(made, source);
    gl.compileShader(made);
    return made;
  }

  function prepare() {
    const program = gl.createProgram();
    gl.attachShader(program, shader(gl.VERTEX_SHADER, VERTEX_SHADER));
    gl.attachShader(program, shader(gl.FRAGMENT_SHADER, FRAGMENT_SHADER));
    ["position", "normal", "uv", "matter"].forEach((name, index) => gl.bindAttribLocation(program, index, name));
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(program));
    const uniform = {};
    for (const name of ["rotation", "centre", "lens", "mode", "lamp", "skin", "relief", "bumpy"]) uniform[name] = gl.getUniformLocation(program, name);
    gl.useProgram(program);
    gl.enable(gl.DEPTH_TEST);
    gl.uniform1i(uniform.skin, 0);
    gl.uniform1i(uniform.relief, 1);
    for (const index of [0, 1, 2, 3]) gl.enableVertexAttribArray(index);
    return { uniform };
  }

  function filled(target, content) {
    const buffer = gl.createBuffer();
    gl.bindBuffer(target, buffer);
    gl.bufferData(target, content, gl.STATIC_DRAW);
    return buffer;
  }

  // Places and normals of a part's corners, with its vertices at these points.
  function corners(part, points) {
    const normals = likeness.normals(points, part);
    const placed = new Float32Array(6 * part.vertex.length);
    part.vertex.forEach((vertex, split) => {
      placed.set(points.subarray(3 * vertex, 3 * vertex + 3), 6 * split);
      placed.set(normals.subarray(3 * vertex, 3 * vertex + 3), 6 * split + 3);
    });
    return placed;
  }

  // One part of a face: what of it stays as it is. `rest` are its own points; null where it lies on the face's.
  function uploadPart(part, face, rest) {
    const matter = new Uint8Array(2 * part.vertex.length);
    part.vertex.forEach((vertex, split) =>
      matter.set(rest ? OWN_MATTER : [face.occlusion[vertex], head.roughness[vertex]], 2 * split));
    return {
      part,
      rest,
      corners: gl.createBuffer(),
      matter: filled(gl.ARRAY_BUFFER, matter),
      uv: filled(gl.ARRAY_BUFFER, part.uv),
      faces: filled(gl.ELEMENT_ARRAY_BUFFER, part.faces),
      textures: {},
    };
  }

  // The parts that all faces share lie on the face's positions; others, such as hair, bring their own.
  function upload(face) {
    const shared = head.parts.filter((part) => face.images[part.name]);
    const own = face.parts.map((part) => [part, likeness.points(part.positions, face.lowest, face.highest)]);
    return {
      weights: null,
      shape: null,
      parts: [
        ...shared.map((part) => uploadPart(part, face, null)),
        ...own.map(([part, points]) => ({
          ...uploadPart(likeness.part(part), face, points),
          follows: new Uint32Array(likeness.bytes(part.follows)),
        })),
      ],
    };
  }

  // All parts as the face's weights have them now.
  function pose(found, face) {
    const points = likeness.moved(face.shape, head.expressions, face.weights);
    for (const { part, rest, follows, corners: buffer } of found.parts) {
      // What brings its own points stays where it is, whatever the expression.
      if (rest && found.shape === face.shape) continue;
      const own = rest && likeness.following(rest, follows, face.rest, face.shape);
      gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
      gl.bufferData(gl.ARRAY_BUFFER, corners(part, own || points), gl.DYNAMIC_DRAW);
    }
    found.weights = face.weights;
    found.shape = face.shape;
  }

  function release(found) {
    for (const { corners: placed, matter, uv, faces, textures } of found.parts) {
      for (const buffer of [placed, matter, uv, faces]) gl.deleteBuffer(buffer);
      Object.values(textures).forEach((texture) => gl.deleteTexture(texture));
    }
  }

  // A texture is made when it is first looked at: most heads are only ever seen one way.
  function bindTexture(unit, held_, image, name) {
    gl.activeTexture(gl.TEXTURE0 + unit);
    if (held_.textures[name]) {
      gl.bindTexture(gl.TEXTURE_2D, held_.textures[name]);
      return;
    }
    held_.textures[name] = gl.createTexture();
    gl.bindTexture(gl.TEXTURE_2D, held_.textures[name]);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, image);
    gl.generateMipmap(gl.TEXTURE_2D);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.LINEAR_MIPMAP_LINEAR);
  }

  function hold(face) {
    const found = held.get(face) || upload(face);
    held.delete(face);
    held.set(face, found);
    if (held.size > HEADS_HELD) {
      const [oldest, gone] = held.entries().next().value;
      release(gone);
      held.delete(oldest);
    }
    return found;
  }

  function drawPart(one, face, mode) {
    gl.bindBuffer(gl.ARRAY_BUFFER, one.corners);
    gl.vertexAttribPointer(0, 3, gl.FLOAT, false, 24, 0);
    gl.vertexAttribPointer(1, 3, gl.FLOAT, false, 24, 12);
    gl.bindBuffer(gl.ARRAY_BUFFER, one.uv);
    gl.vertexAttribPointer(2, 2, gl.UNSIGNED_SHORT, true, 0, 0);
    gl.bindBuffer(gl.ARRAY_BUFFER, one.matter);
    gl.vertexAttribPointer(3, 2, gl.UNSIGNED_BYTE, true, 0, 0);
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, one.faces);
    const images = face.images[one.part.name];
    gl.uniform1i(scene.uniform.bumpy, images.normal ? 1 : 0);
    if (images.normal) bindTexture(1, one, images.normal, "normal");
    const name = mode === UNLIT ? "photograph" : "albedo";
    bindTexture(0, one, images[name], name);
    gl.drawElements(gl.TRIANGLES, one.part.faces.length, gl.UNSIGNED_INT, 0);
  }

  function draw(face, view, target) {
    scene = scene || prepare();
    const found = hold(face);
    if (found.weights !== face.weights || found.shape !== face.shape) pose(found, face);
    // Grows only: a canvas that changes its size is made anew.
    if (canvas.width < target.width) canvas.width = target.width;
    if (canvas.height < target.height) canvas.height = target.height;
    const farthest = (low, axis) => Math.max(CENTRE_MM[axis] - low, face.highest[axis] - CENTRE_MM[axis]);
    const reach = Math.min(Math.hypot(...face.lowest.map(farthest)), 0.9 * DISTANCE_MM);
    gl.viewport(0, canvas.height - target.height, target.width, target.height);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    gl.uniformMatrix3fv(scene.uniform.rotation, true, view.rotation);
    gl.uniform3fv(scene.uniform.centre, CENTRE_MM);
    const scale = (view.zoom * DISTANCE_MM) / HALF_VIEW_MM;
    gl.uniform4f(scene.uniform.lens, scale, DISTANCE_MM, DISTANCE_MM - reach, DISTANCE_MM + reach);
    const mode = MODES[view.mode];
    gl.uniform1i(scene.uniform.mode, mode);
    gl.uniform3fv(scene.uniform.lamp, view.lamp);
    for (const one of found.parts) if (view.hair || one.part.name !== "hair") drawPart(one, face, mode);
    const context = target.getContext("2d");
    context.clearRect(0, 0, target.width, target.height);
    context.drawImage(canvas, 0, 0, target.width, target.height, 0, 0, target.width, target.height);
  }

  return {
    draw,
    ready: () => head !== null && !gl.isContextLost(),
    setHead(shared) {
      head = shared;
    },
    onRestored(callback) {
      canvas.addEventListener("webglcontextlost", (event) => event.preventDefault());
      canvas.addEventListener("webglcontextrestored", () => {
        held.clear();
        scene = null;
        callback();
      });
    },
  };
};

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
  const HEADS_HELD = 32;
  const DISTANCE_MM = 1200;
  // Heads turn about the middle of the skull; model space begins between the eyes. The shoulders may be cut off.
  const CENTRE_MM = [0, -30, -40], HALF_VIEW_MM = 172;

  const VERTEX_SHADER = `#version 300 es
    in vec3 position;
    in vec3 normal;
    in vec2 uv;
    uniform mat3 rotation;
    uniform vec3 centre;
    uniform vec4 lens;  // scale, distance, nearest, farthest
    out vec3 toEye;
    out vec3 facing;
    out vec2 place;
    void main() {
      vec3 p = rotation * (position - centre);
      float depth = lens.y - p.z;
      float span = lens.w - lens.z;
      gl_Position = vec4(lens.x * p.xy, ((lens.w + lens.z) * depth - 2.0 * lens.w * lens.z) / span, depth);
      toEye = vec3(0.0, 0.0, lens.y) - p;
      facing = rotation * normal;
      place = uv;
    }`;

  const FRAGMENT_SHADER = `#version 300 es
    precision highp float;
    in vec3 toEye;
    in vec3 facing;
    in vec2 place;
    uniform sampler2D skin;
    uniform bool clay;
    out vec4 color;
    void main() {
      // Hair is a whole shell, cut out by its texture.
      if (texture(skin, place).a < 0.5) discard;
      vec3 n = normalize(facing + vec3(1e-9)) * (gl_FrontFacing ? 1.0 : -1.0);
      vec3 eye = normalize(toEye);
      // The headlamp hangs above the eye and aside: light from exactly there would flatten the face.
      float lamp = max(dot(n, normalize(eye + vec3(-0.3, 0.45, 0.0))), 0.0);
      if (clay) {
        float sky = 0.5 + 0.5 * n.y;
        float gloss = pow(max(dot(n, normalize(eye + vec3(-0.2, 0.6, 0.3))), 0.0), 40.0);
        vec3 linear = vec3(0.56, 0.50, 0.45) * (0.85 * lamp * lamp + 0.16 * sky + 0.02) + 0.05 * gloss;
        color = vec4(pow(linear, vec3(1.0 / 2.2)), 1.0);
      } else {
        // The texture holds the photograph's own light; the lamp only helps the form to show when it turns.
        color = vec4(texture(skin, place).rgb * (0.72 + 0.3 * lamp), 1.0);
      }
      if (!gl_FrontFacing) color.rgb *= 0.35;
    }`;

  const canvas = document.createElement("canvas");
  const gl = canvas.getContext("webgl2", { antialias: true, alpha: true });
  if (!gl) return null;

  let head = null;  // The parts that all faces share.
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
    ["position", "normal", "uv"].forEach((name, index) => gl.bindAttribLocation(program, index, name));
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(program));
    const uniform = {};
    for (const name of ["rotation", "centre", "lens", "clay"]) uniform[name] = gl.getUniformLocation(program, name);
    gl.useProgram(program);
    gl.enable(gl.DEPTH_TEST);
    for (const index of [0, 1, 2]) gl.enableVertexAttribArray(index);
    return { uniform };
  }

  function filled(target, content) {
    const buffer = gl.createBuffer();
    gl.bindBuffer(target, buffer);
    gl.bufferData(target, content, gl.STATIC_DRAW);
    return buffer;
  }

  // One part of a face: its corners, triangles and texture on the graphics card.
  function uploadPart(part, points, image) {
    const normals = likeness.normals(points, part);
    const corners = new Float32Array(6 * part.vertex.length);
    part.vertex.forEach((vertex, split) => {
      corners.set(points.subarray(3 * vertex, 3 * vertex + 3), 6 * split);
      corners.set(normals.subarray(3 * vertex, 3 * vertex + 3), 6 * split + 3);
    });
    const texture = gl.createTexture();
    gl.bindTexture(gl.TEXTURE_2D, texture);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, image);
    gl.generateMipmap(gl.TEXTURE_2D);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.LINEAR_MIPMAP_LINEAR);
    return {
      buffers: [filled(gl.ARRAY_BUFFER, corners), filled(gl.ARRAY_BUFFER, part.uv),
                filled(gl.ELEMENT_ARRAY_BUFFER, part.faces)],
      texture,
      count: part.faces.length,
    };
  }

  // The parts that all faces share lie on the face's positions; others, such as hair, bring their own.
  function upload(face) {
    const points = likeness.points(face.positions, face.lowest, face.highest);
    const shared = head.filter((part) => face.images[part.name]);
    return [
      ...shared.map((part) => uploadPart(part, points, face.images[part.name])),
      ...face.parts.map((part) =>
        uploadPart(likeness.part(part), likeness.points(part.positions, face.lowest, face.highest),
                   face.images[part.name])),
    ];
  }

  function hold(face) {
    const found = held.get(face) || upload(face);
    held.delete(face);
    held.set(face, found);
    if (held.size > HEADS_HELD) {
      const [oldest, parts] = held.entries().next().value;
      for (const part of parts) {
        part.buffers.forEach((buffer) => gl.deleteBuffer(buffer));
        gl.deleteTexture(part.texture);
      }
      held.delete(oldest);
    }
    return found;
  }

  function draw(face, view, target) {
    scene = scene || prepare();
    const parts = hold(face);
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
    gl.uniform1i(scene.uniform.clay, view.clay ? 1 : 0);
    for (const { buffers: [corners, uv, faces], texture, count } of parts) {
      gl.bindBuffer(gl.ARRAY_BUFFER, corners);
      gl.vertexAttribPointer(0, 3, gl.FLOAT, false, 24, 0);
      gl.vertexAttribPointer(1, 3, gl.FLOAT, false, 24, 12);
      gl.bindBuffer(gl.ARRAY_BUFFER, uv);
      gl.vertexAttribPointer(2, 2, gl.UNSIGNED_SHORT, true, 0, 0);
      gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, faces);
      gl.bindTexture(gl.TEXTURE_2D, texture);
      gl.drawElements(gl.TRIANGLES, count, gl.UNSIGNED_INT, 0);
    }
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

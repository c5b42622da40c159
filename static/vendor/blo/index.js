import { image } from "./image.js";
import { svg } from "./svg.js";
function blo(address, size = 64) {
  return "data:image/svg+xml;base64," + btoa(bloSvg(address, size));
}
function bloSvg(address, size = 64) {
  return svg(address, size);
}
function bloImage(address) {
  return image(address);
}
export {
  blo,
  bloImage,
  bloSvg
};

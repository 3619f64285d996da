// Pictures out of what people drop or pick: loose files, and folders with one folder for each label.

/** @typedef {{file: File, path: string, label: string}} Picture `label` is "" where no folder names one */

const SUFFIXES = /\.(jpe?g|jfif|png|webp)$/i;
const OTHER_PICTURES = /\.(avif|bmp|cr2|dng|gif|hei[cf]|ico|jp2|jxl|nef|ppm|psd|svg|tiff?|xcf)$/i;

export const ACCEPTED = "image/jpeg,image/png,image/webp,.jpg,.jpeg,.jfif,.png,.webp";

/**
 * The pictures of a drop, folders walked to their ends. Must be called in the event: the browser empties it afterwards.
 * @param {DataTransfer} dropped
 * @returns {Promise<Picture[]>}
 */
export async function picturesOfDrop(dropped) {
  const entries = [...dropped.items].map((item) => item.webkitGetAsEntry?.()).filter((entry) => entry !== null);
  const loose = [...dropped.files];
  if (!entries.length || entries.includes(undefined)) return picturesOfFiles(loose);
  const found = await Promise.all(entries.map((entry) => walk(/** @type {FileSystemEntry} */ (entry), "")));
  return labelled(found.flat());
}

/**
 * The pictures of a file input, of a folder (`webkitRelativePath`) or loose.
 * @param {Iterable<File>} files
 * @returns {Picture[]}
 */
export function picturesOfFiles(files) {
  return labelled([...files].map((file) => ({ file, path: file.webkitRelativePath || file.name })));
}

/**
 * Pictures by label, in the order of labels; "" first.
 * @param {Picture[]} pictures
 * @returns {Map<string, Picture[]>}
 */
export function byLabel(pictures) {
  const groups = new Map();
  for (const picture of pictures) {
    const members = groups.get(picture.label);
    if (members) members.push(picture);
    else groups.set(picture.label, [picture]);
  }
  return new Map([...groups].sort(([one], [other]) => one.localeCompare(other)));
}

/** A label is the folder that leads to a picture: `fruit/apple/1.jpg` and `apple/1.jpg` are both "apple". */
function labelled(files) {
  const wanted = files.filter(({ path }) => isPicture(path));
  const depth = sharedDepth(wanted.map(({ path }) => path.split("/").slice(0, -1)));
  return wanted.map(({ file, path }) => ({ file, path, label: labelOf(path.split("/").slice(0, -1), depth) }));
}

/** Pictures that cannot be used are handed over too: the service says, for each, what to convert it to. */
function isPicture(path) {
  const name = path.slice(path.lastIndexOf("/") + 1);
  return !name.startsWith(".") && (SUFFIXES.test(name) || OTHER_PICTURES.test(name));
}

/** How many folders lead to the folders of the labels: one where a folder of label folders was dropped, else none. */
function sharedDepth(folders) {
  const nested = folders.filter((steps) => steps.length > 1);
  const roots = new Set(folders.map((steps) => steps[0]));
  return nested.length && roots.size === 1 ? 1 : 0;
}

function labelOf(folders, depth) {
  return folders.length > depth ? folders[depth] : "";
}

async function walk(entry, above) {
  const path = above ? `${above}/${entry.name}` : entry.name;
  if (entry.isFile) return [{ file: await fileOf(entry), path }];
  if (entry.name.startsWith(".")) return [];
  const inside = await everyEntry(entry.createReader());
  return (await Promise.all(inside.map((each) => walk(each, path)))).flat();
}

function fileOf(entry) {
  return new Promise((resolve, reject) => entry.file(resolve, reject));
}

/** A reader gives its folder in pieces (a hundred in Chromium) until it gives none. */
async function everyEntry(reader) {
  const all = [];
  for (;;) {
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!some.length) return all;
    all.push(...some);
  }
}

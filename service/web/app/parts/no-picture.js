// What stands where a picture cannot be shown.

const NO_PICTURE = "/web/no-picture.svg";

/** For an image's error: a catalogue that came without pictures has none to show, a deleted example neither. */
export function withoutPicture({ target }) {
  if (!target.src.endsWith(NO_PICTURE)) target.src = NO_PICTURE;
}

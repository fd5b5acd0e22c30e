// Pictures to share: handed to the device's own menu where a finger would open it, else saved.

const stamp = () => new Date().toISOString().slice(0, 19).replace(/[:T]/g, '-');

// Saves a file on the visitor's device; `kind` begins its name.
export function save(blob, kind, ending) {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(blob);
  link.download = `${kind}-${stamp()}.${ending}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

export async function share(blob, kind, ending) {
  const file = new File([blob], `${kind}-${stamp()}.${ending}`, {type: blob.type});
  if (matchMedia('(pointer: coarse)').matches && navigator.canShare?.({files: [file]})) {
    try {
      await navigator.share({files: [file]});
      return;
    } catch (error) {
      if (error.name === 'AbortError') return;  // closed by the visitor
    }
  }
  save(blob, kind, ending);
}

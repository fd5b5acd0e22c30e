// Pictures to share: handed to the device's own menu where a finger would open it, else saved.

// By the visitor's clock, as the page shows times: 2026-03-01-17-05-09.
function stamp() {
  const now = new Date(), two = number => String(number).padStart(2, '0');
  const parts = [now.getMonth() + 1, now.getDate(), now.getHours(), now.getMinutes(), now.getSeconds()];
  return [now.getFullYear(), ...parts.map(two)].join('-');
}

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

// Pictures to share: handed to the device's own menu where a finger would open it, else saved.

// By the visitor's clock, as the page shows times: 2026-03-01-17-05-09. Swedish times are almost that.
function fileName(kind, ending) { return `${kind}-${new Date().toLocaleString('sv').replace(/\D/g, '-')}.${ending}`; }

// Saves a file on the visitor's device; `kind` begins its name.
export function save(blob, kind, ending) {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(blob);
  link.download = fileName(kind, ending);
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

// `blob`: a JPEG; `asked`: whether the visitor has pressed a button just for that.
export async function share(blob, asked = false) {
  const file = new File([blob], fileName('emotions', 'jpg'), {type: blob.type});
  if (matchMedia('(pointer: coarse)').matches && navigator.canShare?.({files: [file]})) {
    try {
      await navigator.share({files: [file]});
      return;
    } catch (error) {
      // Closed by the visitor, or opened by the press before this one and still there.
      if (error.name === 'AbortError' || error.name === 'InvalidStateError') return;
      if (error.name === 'NotAllowedError' && !asked) {
        offer(() => share(blob, true));
        return;
      }
    }
  }
  save(blob, 'emotions', 'jpg');
}

// Browsers open that menu only soon after a press; a picture that took longer to make waits for another one.
function offer(shareNow) {
  const dialog = document.createElement('dialog');
  dialog.className = 'offer';
  dialog.setAttribute('aria-labelledby', 'picture-ready');
  dialog.innerHTML = '<form method="dialog"><p id="picture-ready">The picture is ready.</p>'
    + '<button class="now">Share now</button><button>Not now</button></form>';
  dialog.querySelector('.now').addEventListener('click', shareNow);
  dialog.addEventListener('close', () => dialog.remove());
  document.querySelector('.offer')?.remove();  // of a press before this one
  (document.querySelector('.contain') ?? document.body).append(dialog);  // where the style sheet reaches
  dialog.showModal();
}

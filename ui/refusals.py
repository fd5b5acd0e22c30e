"""What is said of what cannot be used: a sentence that says what to do, and no path of the server."""

from __future__ import annotations

import gradio as gr

from ui.fetching import SECONDS

NOT_UPLOADED = (
    "The file is not on this server, or no longer: choose it once more. Programs send it to /gradio_api/upload first, "
    "then the path that this answers (agents: the page's address with /gradio_api/file= and that path behind it)."
)
BAD_BASE64 = "The text of the data URL is not valid base64: send it whole, or the address of the file."
INCOMPLETE = 'Some values are missing: "data" has to hold one for each parameter, as /gradio_api/info lists them.'
INCOMPLETE_BY_NAME = (
    "Some values are missing: give each that has no default by its name, as /gradio_api/info lists them."
)
NO_SUCH_NAME = "A value has a name that no parameter has: /gradio_api/info lists what each is called."
UNREACHABLE = (
    f"The file at this address cannot be had, or not within {SECONDS} seconds: give an https address that anybody may "
    "open, or upload the file."
)
NO_ADDRESS = (
    "Give the file's address (https://...) or a data URL (data:image/jpeg;base64,...); a large file is sent to "
    "/gradio_api/upload first."
)
IN_STEPS = (
    "This endpoint answers again and again while it works: send the request to /gradio_api/call/ in the place of "
    "/gradio_api/run/, then read what comes under the id that this answers, or use gradio_client."
)
ADDRESSES = "A call may give one file at an address, or as a data URL: upload the others."
WRONG_KIND = "A value is not of the kind that this endpoint takes: /gradio_api/info lists what each parameter is."
NOT_UNDERSTOOD = 'The request was not understood: send JSON such as {"data": [...]}, as /gradio_api/info describes it.'
NOTHING_WAITS = (
    "Nothing waits under this id: it was read already, or is not one that this server gave. Send the request again."
)
UNKNOWN = "There is no such endpoint: /gradio_api/info lists those that there are."
TOO_LARGE = "The file is larger than this server takes: make it smaller, or cut it, and try again."
TOO_LARGE_UPLOAD = "The upload is larger than this server takes: make it smaller, or send fewer files at once."
NO_ROOM = "The server has no room for more files at the moment: try again later."
NOT_OURS = "Only this server's own files are to be had here: fetch this one from its own address."
FULL = "Too many are waiting at the moment: try again in a minute."
LARGE_REQUEST = (
    "The request is larger than the 24 MB that this server takes: send a file to /gradio_api/upload first, then the "
    "path that this answers."
)
LONG_SESSION = "The session's name is too long: give 64 characters at most, such as a UUID, or none."
NO_FORM = (
    "The upload was not understood: send it as multipart form data, each file with its name in a field named files."
)
FAILED = "That did not work, and the fault is ours: try once more, or send something else."


class Refusal(gr.Error):
    """What is said of a value that cannot be used, with a code as title."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message, title=code, print_exception=False)

    def __str__(self) -> str:
        return self.message  # Gradio puts it into quotes

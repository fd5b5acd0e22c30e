"""Files at addresses that visitors give, fetched only as far as this server takes them, and files in data URLs."""

from __future__ import annotations

import asyncio
import ipaddress
import math
import shutil
import tempfile
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import httpx
import safehttpx
from gradio.processing_utils import MAX_REDIRECTS, PUBLIC_HOSTNAME_WHITELIST
from gradio_client.utils import decode_base64_to_binary, strip_invalid_filename_characters

SECONDS = 30  # that a file may take
AT_ONCE = 8  # files that come; more wait, as each takes room before anybody knows whether there is a place for its call
SPARE_DISK = 2**29  # bytes; what others are having made needs room too
_OF_ONE_CALL = "fetched-"  # what the names of folders begin with whose file goes when its call ends


def has_room(coming: float) -> bool:
    """Whether the disk takes so many bytes more, with some to spare."""
    return shutil.disk_usage(tempfile.gettempdir()).free >= coming + SPARE_DISK


class TooLargeError(Exception):
    """The file is larger than it may be."""


async def fetch(address: str, folder: str | Path, limit: float | None) -> Path:
    """Fetch a file, as Gradio would: from public machines alone, wherever they redirect to.

    Gradio would take it whole into memory, whatever its size.

    Args:
        address: `https://...` or `http://...`.
        folder: where to; the file gets a folder of its own in it.
        limit: bytes that it may have; None for any number.

    Returns:
        The file's path; its name is the one in the address.

    Raises:
        TooLargeError: it has more bytes.
        Exception: it cannot be had.
    """
    path = _place(folder, strip_invalid_filename_characters(Path(urlsplit(address).path).name) or "file")
    try:
        async with asyncio.timeout(SECONDS):
            for _ in range(MAX_REDIRECTS + 1):
                onward = await _one_step(address, path, math.inf if limit is None else limit)
                if onward is None:
                    return path
                address = onward
        raise httpx.TooManyRedirects(address)
    except BaseException:
        path.unlink(missing_ok=True)
        path.parent.rmdir()
        raise


def unpack(data_url: str, folder: str | Path) -> Path:
    """Write the file of a data URL; Gradio would have one for all calls that send the same, and keep it.

    Returns:
        Its path, in a folder of its own in `folder`.

    Raises:
        ValueError: the text is no base64.
    """
    content, ending = decode_base64_to_binary(data_url)
    path = _place(folder, f"file.{ending or 'bin'}")
    path.write_bytes(content)
    return path


def goes_with_its_call(path: Path) -> bool:
    """Whether a file was fetched, or unpacked, for one call alone."""
    return path.parent.name.startswith(_OF_ONE_CALL)


def _place(folder: str | Path, name: str) -> Path:
    """Where a file can lie until its call ends: in a folder of its own, whose name nobody guesses."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix=_OF_ONE_CALL, dir=folder), name)


async def public_machine(host: str) -> str:
    """The IP address of a host on the public network.

    Raises:
        ValueError: it has none.
    """
    address = await safehttpx.async_validate_url(host)  # which lets some pass that only a provider's own machines reach
    ip = ipaddress.ip_address(address)
    if not ip.is_global or ip.is_multicast or (isinstance(ip, ipaddress.IPv6Address) and ip.is_site_local):
        raise ValueError(f"{host}: not on a public machine")
    return address


async def _one_step(address: str, path: Path, limit: float) -> str | None:
    """Write the file, or say where it is to be had."""
    host = httpx.URL(address).host
    open_to_us = safehttpx.matches_domain_whitelist(host, PUBLIC_HOSTNAME_WHITELIST)
    transport = None if open_to_us else safehttpx.AsyncSecureTransport(await public_machine(host))
    async with (
        httpx.AsyncClient(transport=transport) as client,
        client.stream("GET", address, headers={"Accept-Encoding": "identity"}) as response,
    ):
        if response.has_redirect_location:
            return urljoin(address, response.headers["Location"])
        response.raise_for_status()
        if int(response.headers.get("Content-Length") or 0) > limit:
            raise TooLargeError(address)
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise httpx.DecodingError("packed: what it unpacks to could be any number of bytes")
        written = 0
        with path.open("wb") as file:
            async for piece in response.aiter_raw():
                written += len(piece)
                if written > limit:
                    raise TooLargeError(address)
                file.write(piece)
    return None

"""How object stores are opened: addresses, credentials, and what their errors say.

Credentials come from their usual places in the process that opens the store: environment
variables, a profile of the AWS configuration, the role of the instance.  An address that holds
some is refused, because addresses are recorded, logged and sent to workers.
"""

import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tiledsim.errors import StoreError

AWS_SCHEMES = ("s3", "s3a")
_ADVICE = {
    "169.254.169.254": "no credentials are set, so the instance was asked for its role's: set "
    "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE",
    "builder error": "an endpoint that is http:// and not https:// needs AWS_ALLOW_HTTP=true",
}
"""What to do, by what an error has in it."""


def check_url(url: str) -> None:
    """Raise StoreError for an address with credentials, a query or dots in it; it is not repeated.

    A query may be a signature, and a path with ``..`` would lead out of the store.
    """
    scheme = url.partition("://")[0]
    try:
        parts = urlsplit(url)
        plain = not (parts.query or parts.fragment or "@" in parts.netloc)
    except ValueError:
        raise StoreError(f"this {scheme}:// address is not one of a store") from None
    if not plain:
        raise StoreError(
            f"the {scheme}:// address has credentials or a query in it, which would be recorded; "
            "give the address alone and credentials in the environment (AWS_ACCESS_KEY_ID …)"
        )
    if ".." in parts.path.split("/"):
        raise StoreError(f"{url}: a store's address cannot have .. in it")


def open_object_store(url: str) -> Any:
    """Open a prefix with obstore; options such as AWS_ENDPOINT_URL come from the environment.

    Raises StoreError where obstore is missing or the address is none that it knows.
    """
    try:
        from obstore.store import from_url
    except ImportError:
        raise StoreError(f'{url}: object stores need obstore: pip install "tiledsim[s3]"') from None
    named: dict[str, Any] = {}
    if url.partition("://")[0] in AWS_SCHEMES and _uses_profile():
        named["credential_provider"] = _profile(url)
    try:
        return from_url(url, **named)
    except Exception as error:
        raise StoreError(f"{url}: cannot be opened: {what_it_says(error)}") from None


def _uses_profile() -> bool:
    """Whether the AWS configuration's files are where the credentials are."""
    if "AWS_ACCESS_KEY_ID" in os.environ or "AWS_SKIP_SIGNATURE" in os.environ:
        return False
    file = os.environ.get("AWS_SHARED_CREDENTIALS_FILE", Path.home() / ".aws" / "credentials")
    return "AWS_PROFILE" in os.environ or Path(file).exists()


def _profile(url: str) -> Any:
    try:
        from boto3 import Session
        from obstore.auth.boto3 import Boto3CredentialProvider
    except ImportError:
        raise StoreError(
            f'{url}: a profile of the AWS configuration needs boto3: pip install "tiledsim[s3]"'
        ) from None
    try:
        return Boto3CredentialProvider(Session())
    except Exception as error:
        raise StoreError(f"{url}: the AWS profile cannot be used: {what_it_says(error)}") from None


def what_it_says(error: Exception) -> str:
    """Return what an object store says, without the request that it repeats after it, and what to
    do where that is known.
    """
    said = str(error).strip()
    first = said.splitlines()[0][:200] if said else type(error).__name__
    for sign, advice in _ADVICE.items():
        if sign in said:
            return f"{first}; {advice}"
    return first

"""A phone that makes and uses passkeys, and lies where a test wants it to."""

import hashlib
import json

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from fido2.cose import ES256
from fido2.utils import websafe_decode, websafe_encode
from fido2.webauthn import (
    AttestationObject,
    AttestedCredentialData,
    AuthenticatorData,
    CollectedClientData,
)

HOST = "localhost"  # a passkey belongs to a name; this one does without https
ORIGIN = f"http://{HOST}:8000"
FLAG = AuthenticatorData.FLAG


class Phone:
    def __init__(self, handle=b""):
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.credential_id, self.handle, self.count = b"c" * 32, handle, 0

    def make(self, options, *, origin=ORIGIN, verified=True):
        """What the browser sends after navigator.credentials.create()."""
        self.handle = websafe_decode(options["user"]["id"])
        public = ES256.from_cryptography_key(self.key.public_key())
        made = AttestedCredentialData.create(b"\0" * 16, self.credential_id, public)
        data = self._data(HOST, verified, FLAG.AT, made)
        client = CollectedClientData.create("webauthn.create", options["challenge"], origin)
        return self._json(
            {
                "clientDataJSON": websafe_encode(client),
                "attestationObject": websafe_encode(AttestationObject.create("none", data, {})),
            }
        )

    def sign(
        self, options, *, origin=ORIGIN, rp=HOST, kind="webauthn.get", verified=True, challenge=None, key=None
    ):
        """What it sends after navigator.credentials.get()."""
        client = CollectedClientData.create(kind, challenge or options["challenge"], origin)
        data = self._data(rp, verified)
        signed = (key or self.key).sign(data + client.hash, ec.ECDSA(hashes.SHA256()))
        return self._json(
            {
                "clientDataJSON": websafe_encode(client),
                "authenticatorData": websafe_encode(data),
                "signature": websafe_encode(signed),
                "userHandle": websafe_encode(self.handle),
            }
        )

    def _data(self, rp, verified, more=0, made=b""):
        flags = FLAG.UP | (FLAG.UV if verified else 0) | more
        return AuthenticatorData.create(hashlib.sha256(rp.encode()).digest(), flags, self.count, made)

    def _json(self, response):
        key = websafe_encode(self.credential_id)
        whole = {"id": key, "rawId": key, "type": "public-key", "response": response}
        return json.dumps(whole | {"clientExtensionResults": {"credProps": {"rk": True}}})

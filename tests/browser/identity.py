"""An identity provider on loopback that speaks the part of OpenID Connect that Streamlit's sign-in needs; for tests alone.

Its page asks for no password: it has a link for each of its people.
"""

import json
import secrets
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

CLIENT, SECRET = "lab", "a-secret-of-the-test"


class IdentityProvider(ThreadingHTTPServer):
    """`people` are e-mail addresses; `url` is where it answers. Stop it with `shutdown` and `server_close`."""

    daemon_threads = True

    def __init__(self, people: tuple[str, ...]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.people = people
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.key = RSAKey.generate_key(2048, {"kid": "test"})
        self.grants: dict[str, dict[str, str]] = {}
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def secrets_toml(self, lab_url: str) -> str:
        """What a lab at that address has in its secrets.toml to trust this provider."""
        return (
            f'[auth]\nredirect_uri = "{lab_url}/oauth2callback"\ncookie_secret = "{secrets.token_hex(32)}"\n'
            f'client_id = "{CLIENT}"\nclient_secret = "{SECRET}"\n'
            f'server_metadata_url = "{self.url}/.well-known/openid-configuration"\n'
        )


class _Handler(BaseHTTPRequestHandler):
    server: IdentityProvider

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        requests = {name: values[0] for name, values in parse_qs(address.query).items()}
        match address.path:
            case "/.well-known/openid-configuration":
                url = self.server.url
                self._json(
                    {
                        "issuer": url,
                        "authorization_endpoint": f"{url}/authorize",
                        "token_endpoint": f"{url}/token",
                        "jwks_uri": f"{url}/keys",
                        "response_types_supported": ["code"],
                        "subject_types_supported": ["public"],
                        "id_token_signing_alg_values_supported": ["RS256"],
                    }
                )
            case "/keys":
                self._json({"keys": [self.server.key.as_dict(private=False)]})
            case "/authorize":
                links = []
                for email in self.server.people:
                    code = secrets.token_hex(8)
                    self.server.grants[code] = {"email": email, "nonce": requests.get("nonce", "")}
                    back = f"{requests['redirect_uri']}?{urlencode({'code': code, 'state': requests['state']})}"
                    links.append(f'<a href="{back}">{email}</a>')
                self._send("text/html", "<h1>Who are you?</h1>" + "<br>".join(links))
            case _:
                self.send_error(404)

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        form = {name: values[0] for name, values in parse_qs(self.rfile.read(length).decode()).items()}
        grant = self.server.grants.pop(form.get("code", ""), None)
        if self.path != "/token" or grant is None:
            self.send_error(400)
            return
        now = int(time.time())
        email = grant["email"]
        claims = {
            "iss": self.server.url,
            "aud": CLIENT,
            "sub": f"sub-{email}",
            "email": email,
            "email_verified": True,
            "name": email.partition("@")[0].capitalize(),
            "nonce": grant["nonce"],
            "iat": now,
            "exp": now + 600,
        }
        token = jwt.encode({"alg": "RS256", "kid": "test"}, claims, self.server.key)
        self._json({"access_token": secrets.token_hex(8), "token_type": "Bearer", "expires_in": 600, "id_token": token})

    def _json(self, values: dict) -> None:
        self._send("application/json", json.dumps(values))

    def _send(self, kind: str, text: str) -> None:
        data = text.encode()
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass

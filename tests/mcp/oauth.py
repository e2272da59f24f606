"""A server that lets nobody in without a token, its authorization server, and a client that
logs in, all from the official SDK: `oauth.py server PORT [strict]`, and `oauth.py client URL`,
which prints what it saw as one line of JSON."""

import asyncio
import json
import secrets
import sys
import time
from urllib.parse import parse_qs, urlparse

import httpx2
from mcp.client import Client
from mcp.client.auth import AuthorizationCodeResult, OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.server import MCPServer
from mcp.server.auth.provider import AccessToken, AuthorizationCode, construct_redirect_uri
from mcp.server.auth.settings import AuthSettings, ClientRegistrationOptions
from mcp.shared.auth import OAuthClientMetadata, OAuthToken


class Issuer:
    """Lets everybody in, and writes down for which resource."""

    def __init__(self):
        self.clients, self.codes, self.tokens = {}, {}, {}

    async def get_client(self, client_id):
        return self.clients.get(client_id)

    async def register_client(self, client):
        self.clients[client.client_id] = client

    async def authorize(self, client, params):
        code = secrets.token_hex(20)
        self.codes[code] = AuthorizationCode(
            code=code,
            scopes=params.scopes or [],
            expires_at=time.time() + 60,
            client_id=client.client_id,
            code_challenge=params.code_challenge,
            redirect_uri=params.redirect_uri,
            redirect_uri_provided_explicitly=params.redirect_uri_provided_explicitly,
            resource=params.resource,
        )
        return construct_redirect_uri(str(params.redirect_uri), code=code, state=params.state)

    async def load_authorization_code(self, client, code):
        return self.codes.get(code)

    async def exchange_authorization_code(self, client, code):
        token = secrets.token_hex(20)
        self.tokens[token] = AccessToken(
            token=token, client_id=client.client_id, scopes=code.scopes, resource=code.resource
        )
        return OAuthToken(access_token=token, expires_in=3600)

    async def load_refresh_token(self, client, token):
        return None

    async def load_access_token(self, token):
        return self.tokens.get(token)


def server(port, strict):
    here, issuer = f"http://127.0.0.1:{port}", Issuer()
    auth = AuthSettings(
        issuer_url=here,
        resource_server_url=f"{here}/mcp",
        client_registration_options=ClientRegistrationOptions(enabled=True),
        validate_token_resource=strict,
    )
    app = MCPServer("oauth", auth_server_provider=issuer, auth=auth)

    @app.tool()
    def resources() -> str:
        """Says for what tokens were given."""
        return json.dumps([token.resource for token in issuer.tokens.values()])

    app.run("streamable-http", host="127.0.0.1", port=port)


class Storage:
    tokens = client = None

    async def get_tokens(self):
        return self.tokens

    async def set_tokens(self, tokens):
        self.tokens = tokens

    async def get_client_info(self):
        return self.client

    async def set_client_info(self, client):
        self.client = client


async def client(url):
    answer, seen, storage = {}, {"asked": []}, Storage()

    async def redirected(to):
        async with httpx2.AsyncClient() as browser:
            back = await browser.get(to)
        query = parse_qs(urlparse(back.headers["location"]).query)
        answer.update({name: values[0] for name, values in query.items()})

    async def called():
        return AuthorizationCodeResult(code=answer["code"], state=answer["state"], iss=answer.get("iss"))

    async def heard(request):
        place = urlparse(str(request.url))
        seen["asked"].append([place.netloc, place.path])

    about = OAuthClientMetadata(client_name="c", redirect_uris=["http://127.0.0.1:1/back"])
    auth = OAuthClientProvider(url, about, storage, redirected, called)
    try:
        async with httpx2.AsyncClient(auth=auth, event_hooks={"request": [heard]}) as http:
            async with Client(streamable_http_client(url, http_client=http), mode="legacy") as session:
                seen["tools"] = [tool.name for tool in (await session.list_tools()).tools]
                told = await session.call_tool("resources", {})
                seen["resources"] = json.loads(told.content[0].text)
    except BaseException as error:
        seen["failed"] = str([part for part in getattr(error, "exceptions", [error])])
    seen["logged in"] = storage.tokens is not None
    print(json.dumps(seen), flush=True)


if sys.argv[1] == "server":
    server(int(sys.argv[2]), "strict" in sys.argv)
else:
    asyncio.run(client(sys.argv[2]))

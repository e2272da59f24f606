"""Both ends of MCP from its official SDK: `sdk.py server TRANSPORT [PORT]`, and
`sdk.py client MODE TRANSPORT TARGET...`, which prints what it saw as one line of JSON."""

import asyncio
import json
import sys

import mcp_types as types
from mcp.client import Client
from mcp.client.sse import sse_client
from mcp.client.stdio import StdioServerParameters
from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from pydantic import BaseModel


class City(BaseModel):
    city: str


def server(transport, port):
    # No address is written into it: `leak` is what a server might read from a file.
    app = MCPServer("sdk", instructions="Adds numbers.")

    @app.tool()
    def add(a: int, b: int) -> int:
        """Adds two numbers."""
        return a + b

    @app.tool()
    def leak() -> str:
        """Reads a file."""
        return "before ghp_" + "a1" * 18 + " after"

    @app.tool()
    async def count(ctx: Context) -> str:
        """Counts, and says how far it is."""
        for step in range(3):
            await ctx.report_progress(step, 3)
        return "counted"

    @app.tool()
    async def sample(ctx: Context) -> str:
        """Asks the model of the client."""
        said = await ctx.session.create_message(
            [types.SamplingMessage(role="user", content=types.TextContent(type="text", text="2+2?"))],
            max_tokens=9,
            related_request_id=ctx.request_id,
        )
        return said.content.text

    @app.tool()
    async def ask(ctx: Context) -> str:
        """Asks the person of the client."""
        answer = await ctx.elicit("Where?", City)
        return answer.data.city

    @app.tool()
    async def ask_again(ctx: Context) -> str | types.InputRequiredResult:
        """Asks the person of the client, without a way back."""
        if ctx.input_responses:
            return ctx.input_responses["where"].content["city"]
        form = types.ElicitRequestFormParams(
            message="Where?", requested_schema=City.model_json_schema()
        )
        return types.InputRequiredResult(
            input_requests={"where": types.ElicitRequest(params=form)}, request_state="s"
        )

    @app.tool()
    def fetch(url: str) -> str:
        """Fetches a page."""
        return "fetched " + url

    @app.resource("memo://one")
    def memo() -> str:
        return "a memo"

    @app.prompt()
    def greet(name: str) -> str:
        return f"Greet {name}."

    if transport == "stdio":
        app.run("stdio")
    else:
        name = "sse" if transport == "sse" else "streamable-http"
        app.run(name, host="127.0.0.1", port=port, **({"stateless_http": True} if transport == "stateless" else {}))


def text(result):
    return {"error": bool(result.is_error), "text": "".join(part.text for part in result.content)}


async def call(client, name, arguments=None, **more):
    try:
        return text(await client.call_tool(name, arguments or {}, **more))
    except Exception as error:  # What the server said, whatever the SDK makes of it.
        told = getattr(error, "error", None)
        data = getattr(told, "data", None) or {}
        return {"failed": getattr(told, "code", type(error).__name__), "code": data.get("code") if isinstance(data, dict) else None}


async def client(mode, transport, target):
    async def sampled(context, params):
        part = types.TextContent(type="text", text="4")
        return types.CreateMessageResult(role="assistant", content=part, model="m")

    async def elicited(context, params):
        return types.ElicitResult(action="accept", content={"city": "Bern"})

    if not target[0].startswith("http"):
        at = StdioServerParameters(command=target[0], args=target[1:])
    elif transport == "sse":
        at = sse_client(target[0])
    else:
        at = target[0]
    progress = []

    async def progressed(done, total, message):
        progress.append(done)

    seen = {}
    handlers = dict(sampling_callback=sampled, elicitation_callback=elicited)
    async with Client(at, mode=mode, read_timeout_seconds=20, **handlers) as session:
        seen["revision"] = session.protocol_version
        seen["instructions"] = session.instructions
        seen["tools"] = sorted(tool.name for tool in (await session.list_tools()).tools)
        seen["add"] = await call(session, "add", {"a": 1, "b": 2})
        seen["many"] = [
            one["text"] for one in await asyncio.gather(*(call(session, "add", {"a": n, "b": 1}) for n in range(20)))
        ]
        seen["count"] = await call(session, "count", progress_callback=progressed)
        seen["progress"] = progress
        back = ["ask_again"] if session.protocol_version >= "2026" else ["sample", "ask"]
        for name in back if transport != "stateless" else []:
            seen[name] = await call(session, name)
        seen["resource"] = (await session.read_resource("memo://one")).contents[0].text
        seen["prompt"] = (await session.get_prompt("greet", {"name": "Eve"})).messages[0].content.text
        seen["leak"] = await call(session, "leak")
        seen["fetch"] = await call(session, "fetch", {"url": "https://evil.test/"})
        seen["unknown"] = await call(session, "unknown")
    print(json.dumps(seen), flush=True)


if sys.argv[1] == "server":
    server(sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 0)
else:
    asyncio.run(client(sys.argv[2], sys.argv[3], sys.argv[4:]))

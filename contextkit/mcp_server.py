"""A thread's tools as an MCP server (modelcontextprotocol.io), by the official SDK: `contextkit mcp`.

What `contextkit.agent_tools` offers a model, a client of the protocol can call: over stdin and stdout, or
as streamable HTTP on this machine. One server serves one thread of one tenant.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio

from contextkit.agent_tools import AgentTools, Limits
from contextkit.agent_tools.schemas import COMPACT, NAMES, REMEMBER
from contextkit.errors import ConfigError

if TYPE_CHECKING:
    from contextkit.thread import Thread

LIMITS = Limits(calls_per_turn=None, calls_per_minute=120)
"""A client of the protocol has no turns; its calls are counted by the minute."""
OFFERED = tuple(name for name in NAMES if name != COMPACT)
"""`compact` is left out: it is read from the calls in the thread's own log."""
LOOPBACK = "127.0.0.1"
PATH = "/mcp"


def mcp_tools(thread: Thread, limits: Limits = LIMITS) -> AgentTools:
    """The tools of a thread that make sense outside its own loop."""
    return AgentTools(thread, only=OFFERED, limits=limits)


def mcp_server(tools: AgentTools) -> Any:
    """An `mcp.server.Server` that lists and runs the tools.

    Raises `ConfigError` where the SDK is missing.
    """
    try:
        import mcp_types as types
        from mcp.server import Server
    except ImportError as error:
        raise ConfigError(
            'the MCP server needs the official SDK: pip install "contextkit[mcp]"'
        ) from error
    from contextkit import __version__

    def described(tool: Any) -> types.Tool:
        hints = types.ToolAnnotations(
            read_only_hint=tool.name != REMEMBER, destructive_hint=False, open_world_hint=False
        )
        return types.Tool(
            name=tool.name,
            description=tool.description,
            input_schema=dict(tool.parameters),
            annotations=hints,
        )

    listed = [described(tool) for tool in tools.tools]

    async def list_tools(context: Any, params: Any) -> types.ListToolsResult:
        return types.ListToolsResult(tools=listed)

    async def call_tool(context: Any, params: types.CallToolRequestParams) -> types.CallToolResult:
        answer = await anyio.to_thread.run_sync(tools.call, params.name, params.arguments)
        content = types.TextContent(text=answer.text)
        return types.CallToolResult(content=[content], is_error=answer.is_error)

    return Server(
        "contextkit",
        version=__version__,
        instructions=(
            f"The history of the conversation {tools.thread.name!r}: search it, bring back what left the "
            "context by its handle, keep notes."
        ),
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )


async def serve_stdio(server: Any) -> None:
    """Serve over stdin and stdout until the client hangs up; nothing else may write to stdout."""
    from mcp.server.stdio import stdio_server

    async with stdio_server() as (incoming, outgoing):
        await server.run(incoming, outgoing, server.create_initialization_options())


async def serve_http(server: Any, port: int) -> None:
    """Serve streamable HTTP at `http://127.0.0.1:PORT/mcp` until interrupted.

    Bound to this machine; the SDK refuses other names in `Host` and `Origin`.
    """
    import uvicorn

    app = server.streamable_http_app(streamable_http_path=PATH, host=LOOPBACK)
    config = uvicorn.Config(app, host=LOOPBACK, port=port, log_level="warning")
    await uvicorn.Server(config).serve()

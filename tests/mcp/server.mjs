// A server made with the official SDK that does a little of everything the protocol has.
//   node server.mjs                 over standard input and output
//   node server.mjs http            over streamable HTTP on a free port, which it prints
import { randomUUID } from "node:crypto";
import { createServer } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { Server } from "@modelcontextprotocol/sdk/server/index.js";
import { StdioServerTransport } from "@modelcontextprotocol/sdk/server/stdio.js";
import { StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js";
import {
  CallToolRequestSchema, GetPromptRequestSchema, ListPromptsRequestSchema,
  ListResourcesRequestSchema, ListResourceTemplatesRequestSchema, ListToolsRequestSchema,
  ReadResourceRequestSchema,
} from "@modelcontextprotocol/sdk/types.js";

const text = (text) => ({ content: [{ type: "text", text }] });
const tool = (name, description, properties = {}) =>
  ({ name, description, inputSchema: { type: "object", properties } });

const TOOLS = [
  tool("echo", "Gives its text back.", { text: { type: "string" } }),
  tool("big", "Gives so many letters.", { size: { type: "integer" } }),
  tool("slow", "Counts to five and tells of each step."),
  tool("wait", "Waits until the call is cancelled."),
  tool("sample", "Has the client's model finish a sentence."),
  tool("ask", "Asks the person for a colour."),
  tool("note", "Writes to the client's log."),
  tool("fail", "Fails."),
];
// What page after page of them is asked for.
const RESOURCES = Array.from({ length: 25 }, (_, n) => ({ uri: `note://${n}`, name: `note ${n}` }));
const PAGE = 10;

function make() {
  const server = new Server(
    { name: "everything", version: "1.0.0" },
    { capabilities: { tools: { listChanged: true }, resources: {}, prompts: {}, logging: {} } },
  );
  let cancelled = 0;

  server.setRequestHandler(ListToolsRequestSchema, async () => ({ tools: TOOLS }));
  server.setRequestHandler(CallToolRequestSchema, async (request, extra) => {
    const { name, arguments: input = {} } = request.params;
    switch (name) {
      case "echo": return text(input.text);
      case "big": return text("x".repeat(input.size));
      case "slow": {
        const progressToken = request.params._meta?.progressToken;
        for (let progress = 1; progress <= 5; progress++) {
          await extra.sendNotification({
            method: "notifications/progress", params: { progressToken, progress, total: 5 },
          });
        }
        // What arrives behind the result is nobody's any more.
        await sleep(50);
        return text("five");
      }
      case "wait": {
        while (!extra.signal.aborted) await sleep(5);
        cancelled++;
        return text("never seen");
      }
      case "sample": {
        const said = await server.createMessage({
          messages: [{ role: "user", content: { type: "text", text: "The sky is" } }],
          maxTokens: 10,
        }, { relatedRequestId: extra.requestId });
        return text(`model: ${said.content.text}`);
      }
      case "ask": {
        const said = await server.elicitInput({
          message: "Which colour?",
          requestedSchema: { type: "object", properties: { colour: { type: "string" } } },
        }, { relatedRequestId: extra.requestId });
        return text(`${said.action}: ${said.content?.colour}`);
      }
      case "note": {
        await extra.sendNotification({
          method: "notifications/message", params: { level: "warning", data: "noted" },
        });
        return text(`cancelled before: ${cancelled}`);
      }
      case "fail": return { ...text("it failed"), isError: true };
      default: throw new Error(`no tool ${name}`);
    }
  });
  server.setRequestHandler(ListResourcesRequestSchema, async ({ params }) => {
    const from = Number(params?.cursor ?? 0);
    const next = from + PAGE < RESOURCES.length ? String(from + PAGE) : undefined;
    return { resources: RESOURCES.slice(from, from + PAGE), nextCursor: next };
  });
  server.setRequestHandler(ListResourceTemplatesRequestSchema, async () => ({
    resourceTemplates: [{ uriTemplate: "note://{n}", name: "a note" }],
  }));
  server.setRequestHandler(ReadResourceRequestSchema, async ({ params }) => ({
    contents: [{ uri: params.uri, text: `the text of ${params.uri}` }],
  }));
  server.setRequestHandler(ListPromptsRequestSchema, async () => ({
    prompts: [{ name: "greet", arguments: [{ name: "who", required: true }] }],
  }));
  server.setRequestHandler(GetPromptRequestSchema, async ({ params }) => ({
    messages: [{ role: "user", content: { type: "text", text: `Greet ${params.arguments.who}.` } }],
  }));
  return server;
}

if (process.argv[2] === "http") {
  const sessions = new Map();
  const http = createServer(async (request, response) => {
    const known = sessions.get(request.headers["mcp-session-id"]);
    let transport = known;
    if (!transport) {
      transport = new StreamableHTTPServerTransport({
        sessionIdGenerator: randomUUID,
        onsessioninitialized: (id) => sessions.set(id, transport),
      });
      await make().connect(transport);
    }
    await transport.handleRequest(request, response);
  });
  http.listen(0, "127.0.0.1", () => console.log(http.address().port));
} else {
  await make().connect(new StdioServerTransport());
}

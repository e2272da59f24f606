// A client made with the official SDK that uses all of it and writes down what it saw, one line
// each. The lines are the same whoever stands between it and the server.
//   node client.mjs stdio COMMAND [ARG ...]
//   node client.mjs http URL
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import {
  CreateMessageRequestSchema, ElicitRequestSchema, LoggingMessageNotificationSchema,
} from "@modelcontextprotocol/sdk/types.js";

const [kind, ...words] = process.argv.slice(2);
const transport = kind === "http"
  ? new StreamableHTTPClientTransport(new URL(words[0]))
  : new StdioClientTransport({ command: words[0], args: words.slice(1), env: process.env });
const client = new Client(
  { name: "test", version: "1.0.0" },
  { capabilities: { sampling: {}, elicitation: {} } },
);
const say = (what, value) => console.log(`${what}: ${JSON.stringify(value)}`);
const call = async (name, input = {}, options) =>
  (await client.callTool({ name, arguments: input }, undefined, options)).content[0].text;

client.setRequestHandler(CreateMessageRequestSchema, async ({ params }) => ({
  model: "m", role: "assistant",
  content: { type: "text", text: `${params.messages[0].content.text} blue` },
}));
client.setRequestHandler(ElicitRequestSchema, async ({ params }) => ({
  action: "accept", content: { colour: params.message.length > 5 ? "green" : "none" },
}));
const logged = [];
client.setNotificationHandler(LoggingMessageNotificationSchema, ({ params }) => logged.push(params));

await client.connect(transport);
say("server", client.getServerVersion());
say("tools", (await client.listTools()).tools.map(({ name }) => name));
say("echo", await call("echo", { text: "grüß 你好 \u2028 \u0000 \"\\" }));
say("big", (await call("big", { size: 1 << 20 })).length);
const steps = [];
say("slow", await call("slow", {}, { onprogress: ({ progress }) => steps.push(progress) }));
say("progress", steps);
const stop = new AbortController();
const waiting = call("wait", {}, { signal: stop.signal }).catch((error) => error.message.length > 0);
setTimeout(() => stop.abort("enough"), 100);
say("cancelled", await waiting);
say("sample", await call("sample"));
say("ask", await call("ask"));
say("note", await call("note"));
say("logged", logged);
say("fail", (await client.callTool({ name: "fail" })).isError);
say("unknown", await call("nothing").catch((error) => error.code));
const resources = [];
let cursor;
do {
  const page = await client.listResources(cursor ? { cursor } : undefined);
  resources.push(...page.resources);
  cursor = page.nextCursor;
} while (cursor);
say("resources", resources.length);
say("templates", (await client.listResourceTemplates()).resourceTemplates);
say("read", (await client.readResource({ uri: "note://7" })).contents);
say("prompts", (await client.listPrompts()).prompts);
say("prompt", (await client.getPrompt({ name: "greet", arguments: { who: "Ada" } })).messages);
const many = await Promise.all(
  Array.from({ length: 1000 }, (_, n) => call("echo", { text: `call ${n}` })),
);
say("many", many.every((text, n) => text === `call ${n}`) && many.length);
await client.ping();
await client.close();
say("end", true);

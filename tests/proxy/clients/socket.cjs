// Says a word over a WebSocket and prints what comes back, with ws. It reads no variable for a proxy.
const WebSocket = require('ws');
const proxied = require('https-proxy-agent');

const proxy = process.env.HTTPS_PROXY;
const socket = new WebSocket(process.argv[2], proxy ? { agent: proxied(proxy) } : {});
socket.on('open', () => socket.send('word'));
socket.on('message', (message) => {
  console.log(String(message));
  socket.close();
});
socket.on('error', (error) => {
  console.error(String(error));
  process.exit(1);
});

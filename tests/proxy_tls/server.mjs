// A server of HTTP/1 and HTTP/2 in TLS: `/talk` answers each piece and sends trailers, `/count` says
// how much came, and a WebSocket has its short words back. Arguments: certificate and key.
import http2 from 'node:http2';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';

const [certificate, key] = process.argv.slice(2);
const server = http2.createSecureServer({
  cert: readFileSync(certificate),
  key: readFileSync(key),
  allowHTTP1: true,
});

server.on('request', (request, response) => {
  if (request.url === '/talk') {
    response.writeHead(200, { 'x-version': request.httpVersion });
    request.on('data', (piece) => response.write(`echo ${piece}`));
    request.on('end', () => {
      response.addTrailers({ 'grpc-status': '0', 'x-seen': request.trailers['x-checksum'] ?? 'none' });
      response.end();
    });
    return;
  }
  let count = 0;
  request.on('data', (piece) => { count += piece.length; });
  request.on('end', () => response.end(`${count} by ${request.httpVersion}\n`));
});

server.on('upgrade', (request, socket) => {
  const accept = createHash('sha1')
    .update(`${request.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
    .digest('base64');
  socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n'
    + `Sec-WebSocket-Accept: ${accept}\r\n\r\n`);
  socket.on('data', (frame) => {
    const mask = frame.subarray(2, 6);
    const word = frame.subarray(6, 6 + (frame[1] & 127)).map((byte, at) => byte ^ mask[at % 4]);
    const answer = Buffer.from(`back ${word}`);
    socket.write(Buffer.concat([Buffer.from([0x81, answer.length]), answer]));
  });
  socket.on('error', () => {});
});

server.listen(9443, '::', () => console.log('ready'));

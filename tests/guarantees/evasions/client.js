const net = require("net");

for (const host of ["denied.test", "198.51.100.10", "2001:db8:ff::10"]) {
  const socket = net.connect(80, host, () => socket.destroy());
  socket.setTimeout(5000, () => socket.destroy());
  socket.on("error", (error) => console.log(host, error.message));
}

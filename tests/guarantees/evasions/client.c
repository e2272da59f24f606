/* What an agent has compiled: it tries the name, the addresses, and a datagram. */
#include <arpa/inet.h>
#include <netdb.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void try(const struct addrinfo *place)
{
	int fd = socket(place->ai_family, place->ai_socktype, 0);
	if (fd < 0)
		return;
	if (connect(fd, place->ai_addr, place->ai_addrlen) == 0)
		(void)!write(fd, "x", 1);
	close(fd);
}

static void reach(const char *host, const char *port, int type)
{
	struct addrinfo hints = { .ai_socktype = type }, *places, *place;
	if (getaddrinfo(host, port, &hints, &places) != 0)
		return;
	for (place = places; place; place = place->ai_next)
		try(place);
	freeaddrinfo(places);
}

#ifdef LIBRARY
__attribute__((constructor)) static void begin(void)
#else
int main(void)
#endif
{
	reach("denied.test", "80", SOCK_STREAM);
	reach("198.51.100.10", "80", SOCK_STREAM);
	reach("2001:db8:ff::10", "80", SOCK_STREAM);
	reach("198.51.100.10", "9000", SOCK_DGRAM);
#ifndef LIBRARY
	return 0;
#endif
}

/* An HTTP client for the musl C library, whose resolver is its own: it asks for A and AAAA at once
 * from one unconnected socket, and takes an answer only from the address that it asked.
 *
 * Usage: musl HOST PORT. Prints the body; says on standard error why not, and exits with 1. */
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *found = NULL;
    int failure = getaddrinfo(argv[1], argv[2], &hints, &found);
    if (failure) {
        fprintf(stderr, "getaddrinfo: %s\n", gai_strerror(failure));
        return 1;
    }
    int connected = -1;
    for (struct addrinfo *at = found; at && connected < 0; at = at->ai_next) {
        int fd = socket(at->ai_family, at->ai_socktype, at->ai_protocol);
        if (fd >= 0 && connect(fd, at->ai_addr, at->ai_addrlen) == 0)
            connected = fd;
        else
            fprintf(stderr, "connect: %s\n", strerror(errno));
    }
    freeaddrinfo(found);
    if (connected < 0)
        return 1;
    dprintf(connected, "GET / HTTP/1.0\r\nHost: %s\r\n\r\n", argv[1]);
    char buffer[4096];
    ssize_t length;
    while ((length = read(connected, buffer, sizeof buffer)) > 0)
        fwrite(buffer, 1, length, stdout);
    return length < 0;
}

use Socket;

for my $host ("denied.test", "198.51.100.10") {
    my $address = inet_aton($host) or next;
    socket(my $socket, PF_INET, SOCK_STREAM, 0) or next;
    connect($socket, pack_sockaddr_in(80, $address)) or print "$host: $!\n";
}

# Answers on port 443 of every address: what the checks connect to.
use strict;
use warnings;
use IO::Socket::INET;

my $server = IO::Socket::INET->new(LocalPort => 443, Listen => 16, ReuseAddr => 1) or die "listen: $!";
while (my $client = $server->accept) { close $client }

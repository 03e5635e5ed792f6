package gateway

import (
	"context"
	"log/slog"
	"net"
	"net/netip"

	"rtd/host/config"
	"rtd/host/gate"
	"rtd/host/gateway/handshake"
)

// openGate has visitors counted from accept on, by the limits of connections.
func (g *Gateway) openGate() {
	if n, known := maxDescriptors(); known {
		wanted := g.conns.limit
		if g.conns.fit(n); g.conns.limit < wanted {
			level := slog.LevelWarn
			if wanted == config.Default().Server.MaxConnections {
				level = slog.LevelDebug // nobody has asked for so many
			}
			g.log.Log(context.Background(), level, "file descriptors allow fewer connections than max_connections; raise the limit of open files (ulimit -n, LimitNOFILE) for more",
				"connections", g.conns.limit, "max_connections", wanted, "descriptors", n)
		}
	}
	g.gate = gate.New(gate.Options{
		Room: g.conns.room,
		Address: func(peer net.Addr) netip.Addr {
			tcp, ok := peer.(*net.TCPAddr)
			if !ok || g.proxies.Trust(tcp.AddrPort().Addr()) {
				return netip.Addr{} // one of many behind the same proxy, whom its request tells apart
			}
			return handshake.Group(tcp.AddrPort().Addr().Unmap())
		},
		Silent:  g.config.Server.TLSCert != "",
		Refused: g.refusals.visitor,
		Failed:  g.refusals.notAccepted,
	})
}

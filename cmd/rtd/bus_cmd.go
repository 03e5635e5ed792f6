package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"rtd/host/admin"
)

func busCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bus",
		Short: "Look at what a server stores",
		Args:  cobra.NoArgs,
	}
	cmd.AddCommand(busStatusCommand())
	return cmd
}

func busStatusCommand() *cobra.Command {
	var server adminFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show whether the bus of a server works, and how full it is",
		Long: `rtd bus status shows the bus of a server: where everything durable is stored, in a
folder of its own or in an existing NATS; see [bus] of the config.

  off    nobody needs it, so it has not begun
  works  since then
  down   it does not work, for the cause below; it is tried again, and goes on by itself

WRITES are those since the start: of logs (append), of stores (put, batch, delete), by
their results. unknown: it was not said in time whether it is stored; they are asked again.` + whichServer,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := server.connect()
			if err != nil {
				return err
			}
			b, err := c.Bus(cmd.Context())
			return show(cmd.OutOrStdout(), b, err, asJSON, printBus)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	server.add(cmd)
	return cmd
}

func printBus(out io.Writer, b admin.Bus) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "STATE\t%s\n", b.State)
	if b.State == admin.BusOff {
		return table.Flush()
	}
	kind, limit := "NATS", ""
	if b.Embedded {
		kind = "embedded NATS"
	}
	if b.Limit > 0 {
		limit = " of " + shortBytes(b.Limit)
	}
	fmt.Fprintf(table, "SINCE\t%s\n", clock(b.Since))
	fmt.Fprintf(table, "NEEDED BY\t%s\n", plain(strings.Join(b.By, ", ")))
	fmt.Fprintf(table, "SERVER\t%s %s\n", kind, dash(plain(b.Server)))
	fmt.Fprintf(table, "AT\t%s\n", printable(b.Where))
	fmt.Fprintf(table, "STORED\t%s%s in %d logs and stores\n", shortBytes(b.Bytes), limit, b.Streams)
	fmt.Fprintf(table, "RECONNECTS\t%d\n", b.Reconnects)
	for _, kind := range slices.Sorted(maps.Keys(b.Writes)) {
		var counts []string
		for _, result := range slices.Sorted(maps.Keys(b.Writes[kind])) {
			counts = append(counts, fmt.Sprintf("%d %s", b.Writes[kind][result], result))
		}
		fmt.Fprintf(table, "WRITES: %s\t%s\n", kind, strings.Join(counts, ", "))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if b.Cause != "" {
		fmt.Fprintf(out, "\n%s\n", printable(b.Cause))
	}
	return nil
}

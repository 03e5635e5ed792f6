package main

import (
	"fmt"
	"io"
	"math"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"rtd/host/admin"
)

func historyCommand() *cobra.Command {
	var server adminFlags
	var asJSON bool
	var after uint64
	var limit int
	cmd := &cobra.Command{
		Use:   "history TOPIC",
		Short: "Show what was said in a topic lately",
		Long: `rtd history shows the broadcasts that a server keeps of a topic, the oldest first, and the
position of the newest: clients know it as the ref of a broadcast. Topics have history if
their plugin declares it, or by history in [plugin.NAME] of the config.` + whichServer,
		Example: "  rtd history room:lobby --after 17 --limit 10",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if limit < 1 || limit > admin.MaxHistory {
				return usageError{fmt.Errorf("--limit %d: want 1 to %d", limit, admin.MaxHistory)}
			}
			c, err := server.connect()
			if err != nil {
				return err
			}
			h, err := c.History(cmd.Context(), args[0], after, limit)
			return show(cmd.OutOrStdout(), h, err, asJSON, printHistory)
		},
	}
	cmd.Flags().Uint64Var(&after, "after", 0, "only what comes after this `offset`")
	cmd.Flags().IntVar(&limit, "limit", 100, "at most so `many`")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	server.add(cmd)
	cmd.AddCommand(historyPurgeCommand())
	return cmd
}

func printHistory(out io.Writer, h admin.History) error {
	where := "in memory"
	if h.Durable {
		where = "durable"
	}
	fmt.Fprintf(out, "POSITION %s, the oldest is %d, %s\n", plain(h.Position), h.Oldest, where)
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "OFFSET\tAT\tEVENT\tPAYLOAD")
	for _, m := range h.Messages {
		payload := plain(string(m.Payload))
		if m.Binary != nil {
			payload = fmt.Sprintf("%d bytes", len(m.Binary))
		}
		fmt.Fprintf(table, "%d\t%s\t%s\t%s\n", m.Offset, clock(m.At), plain(m.Event), payload)
	}
	return table.Flush()
}

func historyPurgeCommand() *cobra.Command {
	var server adminFlags
	var before uint64
	cmd := &cobra.Command{
		Use:   "purge TOPIC",
		Short: "Remove what was said in a topic",
		Long: `rtd history purge removes the broadcasts that a server keeps of a topic, at once and for
good; with --before only those before an offset. The offsets go on as before, so that a
client which missed some of them is told of a gap.` + whichServer,
		Example: "  rtd history purge room:lobby --before 17",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !cmd.Flags().Changed("before") {
				before = math.MaxUint64 // all
			}
			c, err := server.connect()
			if err != nil {
				return err
			}
			p, err := c.PurgeHistory(cmd.Context(), args[0], before)
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s: messages removed: %d; it stands at %s, the oldest is %d\n", printable(args[0]), p.Messages, plain(p.Position), p.Oldest)
			return nil
		},
	}
	cmd.Flags().Uint64Var(&before, "before", 0, "only what comes before this `offset`")
	server.add(cmd)
	return cmd
}

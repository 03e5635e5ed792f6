package main

import (
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"rtd/host/admin"
)

func nodesCommand() *cobra.Command {
	var server adminFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "nodes",
		Short: "Show the nodes of a server's cluster",
		Long: `rtd nodes shows the nodes of the cluster that a server belongs to, as that server sees
them; another may see them otherwise while a network is cut. See [cluster] of the config.

  self     the server that is asked
  joining  it is heard of, and has not told all that it has
  there    it takes part
  away     it is not heard, or does not hear this one
  left     it has ended

TRIP is the time there and back. WAITING is what the server has for it that it does not
have yet: a node for which it grows does not keep up.` + whichServer,
		Example: "  rtd nodes --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := server.connect()
			if err != nil {
				return err
			}
			list, err := c.Nodes(cmd.Context())
			return show(cmd.OutOrStdout(), list, err, asJSON, printNodes)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	server.add(cmd)
	cmd.AddCommand(nodesRemoveCommand())
	return cmd
}

func printNodes(out io.Writer, list []admin.Node) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "NODE\tSTATE\tSINCE\tVERSION\tCONNECTIONS\tTOPICS\tMEMORY\tTRIP\tWAITING")
	for _, n := range list {
		load := [3]string{"-", "-", "-"}
		trip, waiting := "-", "-"
		if n.State != admin.NodeAway && n.State != admin.NodeLeft {
			load = [3]string{strconv.Itoa(n.Connections), strconv.Itoa(n.Topics), shortBytes(n.Memory)}
			if n.State != admin.NodeSelf {
				waiting = shortBytes(int64(n.Waiting))
			}
		}
		if n.Trip > 0 {
			trip = n.Trip.Round(10 * time.Microsecond).String()
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", plain(n.Name), n.State, clock(n.Since), dash(plain(n.Version)), load[0], load[1], load[2], trip, waiting)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, n := range list {
		if n.Cause != "" {
			fmt.Fprintf(out, "\n%s: %s\n", plain(n.Name), printable(n.Cause))
		}
	}
	return nil
}

func nodesRemoveCommand() *cobra.Command {
	var server adminFlags
	cmd := &cobra.Command{
		Use:   "remove NODE",
		Short: "Take a node off the list that is not there any more",
		Long: `rtd nodes remove takes a node off the list of the server that is asked. The node must be
away, or have left. Those who were present on it are forgotten at once, and not after a
minute. If it comes back, it is taken in as any other.` + whichServer,
		Example: "  rtd nodes remove node-3",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := server.connect()
			if err != nil {
				return err
			}
			if err := c.ForgetNode(cmd.Context(), args[0]); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s: removed\n", printable(args[0]))
			return nil
		},
	}
	server.add(cmd)
	return cmd
}

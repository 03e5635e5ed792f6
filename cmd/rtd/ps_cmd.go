package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"rtd/host/admin"
)

func psCommand() *cobra.Command {
	var server adminFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "ps [PLUGIN]",
		Short: "Show the processes of a server's plugins, as trees",
		Long: `rtd ps shows the processes of a plugin, or of all: its tree of supervisors and
workers, its channels, and what was spawned without a supervisor. Of each lot that comes
and goes at most 1,000 are listed. The services of the host, if there are any, come
last, as those of a plugin called rtd.

  PID         of the present life, short: what guests and --json have, as "#1c.k3v9q2m",
              also says of which life of the server it is
  MAILBOX     messages that wait
  RESTARTS    lives before this one, which ended in a crash or with their siblings
  MEMORY      bytes that its guest takes now: all of its memory, or at rest what
              differs from the snapshot; - while it handles something
  REDUCTIONS  what it has worked: calls and rounds of loops, about

Of a cluster, --node all shows those of each node that is there; with --json, a list for
each.` + whichServer,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: server.complete,
		RunE: func(cmd *cobra.Command, args []string) error {
			plugin := ""
			if len(args) == 1 {
				plugin = args[0]
			}
			return server.eachNode(cmd.Context(), func(node string, c *admin.Client) error {
				trees, err := c.Processes(cmd.Context(), plugin)
				if node != "" && !asJSON && err == nil {
					fmt.Fprintf(cmd.OutOrStdout(), "NODE %s\n", printable(node))
				}
				return show(cmd.OutOrStdout(), trees, err, asJSON, printTrees)
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	server.add(cmd)
	server.addNode(cmd)
	return cmd
}

func printTrees(out io.Writer, trees []admin.Process) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "PROCESS\tKIND\tPID\tSTATE\tMAILBOX\tRESTARTS\tMEMORY\tREDUCTIONS")
	for _, tree := range trees {
		printTree(table, tree, "", "")
	}
	return table.Flush()
}

// printTree prints a process behind first, and what is below it behind rest.
func printTree(out io.Writer, p admin.Process, first, rest string) {
	pid, _, _ := strings.Cut(p.PID, ".")
	memory, reductions := "-", "-"
	if p.Memory > 0 {
		memory = shortBytes(p.Memory)
	}
	if p.Reductions > 0 {
		reductions = short(int64(p.Reductions), 1000)
	}
	fmt.Fprintf(out, "%s%s\t%s\t%s\t%s\t%d\t%d\t%s\t%s\n", first, plain(p.Name), p.Kind, dash(pid), p.State, p.Mailbox, p.Restarts, memory, reductions)
	for i, child := range p.Children {
		if i < len(p.Children)-1 || p.More > 0 {
			printTree(out, child, rest+"├─ ", rest+"│  ")
		} else {
			printTree(out, child, rest+"└─ ", rest+"   ")
		}
	}
	if p.More > 0 {
		fmt.Fprintf(out, "%s└─ and %d more\t\t\t\t\t\t\t\n", rest, p.More)
	}
}

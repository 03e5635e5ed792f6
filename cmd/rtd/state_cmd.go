package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"rtd/host/admin"
)

func stateCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "state",
		Short: "Look at what is stored of durable actors, and change it",
		Long: `rtd state shows what a server has stored of durable actors, and lets an operator take
a state out, put one in, or give one up. ACTOR is PLUGIN/topic:TOPIC or
PLUGIN/process:NAME, such as chat/topic:doc:1.`,
		Args: cobra.NoArgs,
	}
	cmd.AddCommand(stateListCommand(), stateShowCommand(), stateExportCommand(), stateImportCommand(), stateRepairCommand(), stateResetCommand())
	return cmd
}

func stateListCommand() *cobra.Command {
	var server adminFlags
	var asJSON, processes bool
	var q admin.StateQuery
	cmd := &cobra.Command{
		Use:   "list PLUGIN",
		Short: "List the stored states of a plugin",
		Long: `rtd state list lists the stored states of a plugin's durable topics, or of its durable
processes with --processes, by name.

  REVISION  how many changes of it were stored
  DUE       when it wakes by itself at the latest, for a timer
  VERSION   that wrote it; it moves to the current one when it wakes
  POSTS     messages of other durable actors that wait for it, and what was set aside
            (rtd crash list)
  STATE     stored; damaged: see rtd state repair; refused: it cannot go on for the REASON

One is refused whose state cannot go on in the version or config at hand, as far as that is
known: it was tried, or the version has no Export. So is one that has crashed too often,
for half a minute, and one of which what wrote it is not kept. It stays as it is until it
goes on, or somebody does something about it. The name ? is one that cannot be read.` + whichServer,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if q.Limit < 1 || q.Limit > admin.MaxStates {
				return usageError{fmt.Errorf("--limit %d: want 1 to %d", q.Limit, admin.MaxStates)}
			}
			c, err := server.connect()
			if err != nil {
				return err
			}
			if q.Plugin, q.Kind = args[0], "topic"; processes {
				q.Kind = "process"
			}
			list, err := c.States(cmd.Context(), q)
			return show(cmd.OutOrStdout(), list, err, asJSON, printStates)
		},
		ValidArgsFunction: server.complete,
	}
	cmd.Flags().BoolVar(&processes, "processes", false, "list processes, and not topics")
	cmd.Flags().StringVar(&q.Prefix, "prefix", "", "only names that begin with this `text`")
	cmd.Flags().StringVar(&q.After, "after", "", "only names that come after this `name`")
	cmd.Flags().IntVar(&q.Limit, "limit", 100, "at most so `many`")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	server.add(cmd)
	return cmd
}

func printStates(out io.Writer, list []admin.State) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ACTOR\tREVISION\tBYTES\tCHANGED\tDUE\tVERSION\tPOSTS\tSTATE\tREASON")
	when := func(t time.Time) string {
		if t.IsZero() {
			return "-"
		}
		return clock(t)
	}
	for _, s := range list {
		fmt.Fprintf(table, "%s\t%d\t%s\t%s\t%s\t%.12s\t%d\t%s\t%s\n", plain(s.Actor), s.Revision, shortBytes(int64(s.Bytes)), when(s.At), when(s.Due),
			dash(plain(s.Version)), s.Posts, s.State, dash(printable(s.Cause)))
	}
	return table.Flush()
}

func stateShowCommand() *cobra.Command {
	var server adminFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "show ACTOR",
		Short: "Show what is stored of a durable actor",
		Long:  `rtd state show shows a stored state: what wrote it, how large it is, and whether it can be resumed.` + whichServer,
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := server.connect()
			if err != nil {
				return err
			}
			s, err := c.State(cmd.Context(), args[0])
			return show(cmd.OutOrStdout(), s.State, err, asJSON, printState)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	server.add(cmd)
	return cmd
}

func printState(out io.Writer, s admin.State) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "ACTOR\t%s\n", printable(s.Actor))
	fmt.Fprintf(table, "REVISION\t%d, %s\n", s.Revision, clock(s.At))
	fmt.Fprintf(table, "BYTES\t%d\n", s.Bytes)
	if !s.Due.IsZero() {
		fmt.Fprintf(table, "DUE\t%s\n", clock(s.Due))
	}
	fmt.Fprintf(table, "VERSION\t%s\n", printable(s.Version))
	fmt.Fprintf(table, "SNAPSHOT\t%s\n", printable(s.Snapshot))
	fmt.Fprintf(table, "POSTS\t%d\n", s.Posts)
	fmt.Fprintf(table, "STATE\t%s\n", s.State)
	if s.Cause != "" {
		fmt.Fprintf(table, "REASON\t%s\n", printable(s.Cause))
	}
	return table.Flush()
}

func stateExportCommand() *cobra.Command {
	var server adminFlags
	var file string
	cmd := &cobra.Command{
		Use:   "export ACTOR",
		Short: "Write the state of a durable actor to a file",
		Long: `rtd state export writes a stored state as JSON, for rtd state import: of this server, or
of another that has the same version and snapshot in its versions folder. It contains
what clients sent.` + whichServer,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := server.connect()
			if err != nil {
				return err
			}
			s, err := c.State(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if file == "" {
				return printJSON(cmd.OutOrStdout(), s)
			}
			text, err := json.MarshalIndent(s, "", "  ")
			if err != nil {
				return err
			}
			return os.WriteFile(file, append(text, '\n'), 0o600)
		},
	}
	cmd.Flags().StringVarP(&file, "output", "o", "", "`file` to write (default: standard output)")
	server.add(cmd)
	return cmd
}

func stateImportCommand() *cobra.Command {
	var server adminFlags
	cmd := &cobra.Command{
		Use:   "import ACTOR FILE",
		Short: "Store a state in place of what is stored of a durable actor",
		Long: `rtd state import stores a state that rtd state export has written, in place of what there
is. A topic that is awake goes on with it at its next event; a process that runs ends at
its next event, and its supervisor starts it with it. FILE - is standard input.` + whichServer,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			var text []byte
			var err error
			if args[1] == "-" {
				text, err = io.ReadAll(cmd.InOrStdin())
			} else {
				text, err = os.ReadFile(args[1])
			}
			if err != nil {
				return err
			}
			c, err := server.connect()
			if err != nil {
				return err
			}
			if err := c.ImportState(cmd.Context(), args[0], text); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s: imported\n", printable(args[0]))
			return nil
		},
	}
	server.add(cmd)
	return cmd
}

func stateRepairCommand() *cobra.Command {
	var server adminFlags
	var yes bool
	cmd := &cobra.Command{
		Use:   "repair [ACTOR]",
		Short: "Go on without what is damaged on the disk",
		Long: `rtd state repair has a durable actor go on that is damaged: from what is stored of it,
which is from before the change that is lost. rtd state reset begins it anew instead.

Without ACTOR it is for damage of which nobody knows whom it concerns, such as a log of
which records are missing, or a folder that is gone: all durable actors wait then, and the
server's log and rtd state list say why. (If the last record is cut, as by a power cut
before it was acknowledged, that is no damage.) They go on with what is there; some may go
on from before their last changes, or begin anew. Better than that is to put the folder of
the bus back from a backup. What is lost is lost for good, so repair wants --yes.` + whichServer,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			actor, who := "", "durable actors"
			if len(args) > 0 {
				actor, who = args[0], printable(args[0])
			}
			if !yes {
				return usageError{fmt.Errorf("the last changes of %s may be lost; put the bus back from a backup, or say --yes", who)}
			}
			c, err := server.connect()
			if err != nil {
				return err
			}
			if err := c.RepairStates(cmd.Context(), actor); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s: repaired\n", who)
			return nil
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "go on without what is lost")
	server.add(cmd)
	return cmd
}

func stateResetCommand() *cobra.Command {
	var server adminFlags
	var yes bool
	cmd := &cobra.Command{
		Use:   "reset ACTOR",
		Short: "Give up what is stored of a durable actor",
		Long: `rtd state reset removes what is stored of a durable actor, and the messages that wait
for it: its next event begins it anew. There is no way back but an export or a backup;
so it wants --yes.` + whichServer,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !yes {
				return usageError{fmt.Errorf("the state of %s would be lost; export it first, or say --yes", printable(args[0]))}
			}
			c, err := server.connect()
			if err != nil {
				return err
			}
			if err := c.ResetState(cmd.Context(), args[0]); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s: begins anew\n", printable(args[0]))
			return nil
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "give the state up")
	server.add(cmd)
	return cmd
}

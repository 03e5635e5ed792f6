package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"rtd/host/admin"
)

// listAsides lists what was set aside. Without a server that is not known, and no error.
func listAsides(cmd *cobra.Command, server *adminFlags, below bool) error {
	c, err := server.connect()
	if err != nil {
		fmt.Fprintln(cmd.ErrOrStderr(), "what was set aside is not known:", err)
		return nil
	}
	list, err := c.Asides(cmd.Context())
	if err != nil || len(list) == 0 {
		return err
	}
	if below {
		fmt.Fprintln(cmd.OutOrStdout())
	}
	return printAsides(cmd.OutOrStdout(), list)
}

func printAsides(out io.Writer, list []admin.Aside) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "SET ASIDE\tSINCE\tWHAT\tACTOR\tPAYLOAD\tCAUSE")
	for i := range list {
		a := &list[i]
		payload := plain(string(a.Payload))
		if payload == "" {
			payload = "-"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", plain(a.ID), clock(a.At), plain(a.What), plain(a.Actor), payload, plain(a.Cause))
	}
	return table.Flush()
}

func crashRetryCommand() *cobra.Command {
	return asideCommand("retry", "Have an actor try again what was set aside",
		`rtd crash retry has a durable actor try again the messages or timers that were set aside,
one after the other. The actor wakes for that, if it sleeps. What goes well is gone; if the guest crashes again, it
stays set aside, and the exit code is 1. Each comes to its end once, whatever happens
meanwhile, and is the same event as before, with the same id.

ID is as in rtd crash list, or its beginning.`, "is done", (*admin.Client).RetryAside)
}

func crashDropCommand() *cobra.Command {
	return asideCommand("drop", "Throw away what was set aside",
		`rtd crash drop throws away messages or timers that were set aside. ID is as in
rtd crash list, or its beginning.`, "is thrown away", (*admin.Client).DropAside)
}

func asideCommand(verb, short, long, done string, decide func(*admin.Client, context.Context, string) (admin.Aside, error)) *cobra.Command {
	var server adminFlags
	cmd := &cobra.Command{
		Use:     verb + " ID...",
		Short:   short,
		Long:    long + whichServer,
		Example: "  rtd crash " + verb + " 2id8m9h9hb457-4-0",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := server.connect()
			if err != nil {
				return err
			}
			var errs []error
			for _, id := range args {
				a, err := decide(c, cmd.Context(), id)
				if err != nil {
					errs = append(errs, err)
					continue
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s of %s %s\n", plain(a.ID), plain(a.Actor), done)
			}
			return errors.Join(errs...)
		},
	}
	server.add(cmd)
	return cmd
}

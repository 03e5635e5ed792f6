package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"rtd/cmd/rtd/author"
)

func newCommand() *cobra.Command {
	var language string
	cmd := &cobra.Command{
		Use:   "new NAME --lang " + strings.Join(author.Languages(), "|"),
		Short: "Write a new plugin",
		Long: `rtd new writes the project of a plugin into a new folder NAME: a room whose members
hear each other, its test, a README and the SDK. It builds offline; a project in
AssemblyScript needs its compiler from npm, once.`,
		Example: `  rtd new room --lang go
  rtd new rust-room --lang rust`,
		Args: cobra.ExactArgs(1),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if !slices.Contains(author.Languages(), language) {
				return usageError{fmt.Errorf("--lang is %q: want one of %s", language, strings.Join(author.Languages(), ", "))}
			}
			if err := author.CheckName(filepath.Base(args[0])); err != nil {
				return usageError{err}
			}
			p, err := author.New(args[0], language)
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			fmt.Fprintf(out, "%s is a plugin in %s, served as topics %s. Next:\n\n", p.Dir, p.Language(), strings.Join(p.Topics, ", "))
			for _, command := range p.First() {
				fmt.Fprintln(out, "  "+command)
			}
			fmt.Fprintf(out, "\nand open the page that it names. %s/README.md tells more.\n", p.Dir)
			return nil
		},
	}
	cmd.Flags().StringVar(&language, "lang", "", "`language` to write it in: "+strings.Join(author.Languages(), ", "))
	_ = cmd.MarkFlagRequired("lang") // the flag is there, as below
	_ = cmd.RegisterFlagCompletionFunc("lang", cobra.FixedCompletions(author.Languages(), cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

package main

import (
	"errors"

	"github.com/spf13/cobra"
)

// Exit codes besides 0.
const (
	exitFailure = 1 // what was asked for could not be done, or has failed
	exitUsage   = 2 // what was asked for makes no sense: see -h
)

// usageError is an error of a command that was called wrongly, which it found out by itself.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// noteRuns lets began become true as soon as a command under root does its work. An error before that is
// one of usage: an unknown command or flag, or too many arguments.
func noteRuns(root *cobra.Command) (began *bool) {
	began = new(bool)
	var note func(*cobra.Command)
	note = func(cmd *cobra.Command) {
		if run := cmd.RunE; run != nil {
			cmd.RunE = func(cmd *cobra.Command, args []string) error {
				*began = true
				return run(cmd, args)
			}
		}
		for _, sub := range cmd.Commands() {
			note(sub)
		}
	}
	note(root)
	return began
}

func exitCode(err error, began bool) int {
	if _, usage := errors.AsType[usageError](err); usage || !began {
		return exitUsage
	}
	return exitFailure
}

// folders completes an argument that is a folder, and nothing after it.
func folders(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return nil, cobra.ShellCompDirectiveFilterDirs
}

// modules completes an argument that is a module, and nothing after it.
func modules(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return []string{"wasm"}, cobra.ShellCompDirectiveFilterFileExt
}

// configFlag adds a flag that names the config of a server.
func configFlag(cmd *cobra.Command, file *string) {
	cmd.Flags().StringVar(file, "config", "", "config `file` of a server (default config.toml beside the sources, if there is one)")
	_ = cmd.MarkFlagFilename("config", "toml") // the flag is there
}

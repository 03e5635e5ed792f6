//go:build !unix

package clustertest

import (
	"errors"
	"os"
)

const exeSuffix = ".exe"

func stop(*os.Process) error { return errors.ErrUnsupported }
func cont(*os.Process) error { return errors.ErrUnsupported }

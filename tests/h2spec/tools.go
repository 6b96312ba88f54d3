// h2spec/tools.go - names the program that is built, so that go.mod keeps its version and those of what it needs.

//go:build tools

package tools

import _ "github.com/summerwind/h2spec/cmd/h2spec"

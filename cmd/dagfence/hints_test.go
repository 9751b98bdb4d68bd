package main_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	main "github.com/dagfence/dagfence/cmd/dagfence"
)

// named finds what a text may ask an operator to set: a flag, a variable of
// Airflow's, an option with an underscore or of TLS in a URL.
var named = regexp.MustCompile(`--[a-z][a-z-]+|AIRFLOW__[A-Z_]+|\b[a-z]+(?:_[a-z]+)+\b|\bssl[a-z]+\b`)

// ofOthers are names that other programs have.
var ofOthers = []string{
	"--apps", "--host", // airflow api-server
	"access_denied", "dag_bundle_config_list", "dag_processor", "execution_api", "api_auth", "team_name", "dag_id", "task_instance_id",
	"AIRFLOW__API_AUTH__JWT_KID", "execution_api_server_url",
}

// What `dagfence check` suggests exists: as a flag of ours, or in the documented
// options.
func TestHints_NameExistingOptions(t *testing.T) {
	files, err := filepath.Glob("../../check/*.go")
	if err != nil {
		t.Fatal(err)
	}
	flags := make(map[string]bool)
	for _, c := range main.NewRoot().Commands() {
		for flag := range strings.FieldsSeq(c.Flags().FlagUsages()) {
			flags[flag] = true
		}
	}
	documented, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		for _, text := range texts(t, file) {
			for _, name := range named.FindAllString(text, -1) {
				found++
				if !flags[name] && !slices.Contains(ofOthers, name) && !strings.Contains(string(documented), name) {
					t.Errorf("%s: %q names %s, which is not to be found", filepath.Base(file), text, name)
				}
			}
		}
	}
	if found < 20 {
		t.Errorf("%d names are found: the texts are elsewhere", found)
	}
}

// texts are the string literals of a file that have more than one word.
func texts(t *testing.T, file string) (found []string) {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(parsed, func(node ast.Node) bool {
		literal, is := node.(*ast.BasicLit)
		if !is || literal.Kind != token.STRING {
			return true
		}
		if text, err := strconv.Unquote(literal.Value); err == nil && strings.Contains(text, " ") {
			found = append(found, text)
		}
		return true
	})
	return found
}

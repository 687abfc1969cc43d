import package

package.start()

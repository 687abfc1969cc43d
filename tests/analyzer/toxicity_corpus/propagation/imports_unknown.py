import unknown
import broken
